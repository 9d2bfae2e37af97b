"""Facts about each architecture that the exporter needs. To add an architecture, add a file here
with an ARCHITECTURE of its own, and one line to the registry below."""

from __future__ import annotations

from oriel.errors import ArchitectureError
from oriel.models.architectures.architecture import Architecture
from oriel.models.architectures.gpt2 import ARCHITECTURE as GPT2
from oriel.models.architectures.llama import ARCHITECTURE as LLAMA
from oriel.models.architectures.llama import llama_like

_BUILT_IN = (GPT2, LLAMA)
REGISTRY: dict[str, Architecture] = {a.model_type: a for a in _BUILT_IN}


def find_architecture(model_type: str) -> Architecture:
    """Return the architecture of a config's model_type; ArchitectureError names the supported
    ones."""
    if model_type not in REGISTRY:
        raise ArchitectureError(
            "this architecture is not supported yet",
            got=f"model_type {model_type!r}",
            expected=f"one of {', '.join(sorted(REGISTRY))}",
            next_step="add a file to oriel/models/architectures, or export another checkpoint.",
        )
    return REGISTRY[model_type]


def is_built_in(architecture: Architecture) -> bool:
    """Return whether this very value is one of this package's files, and not a caller's own."""
    return any(architecture is own for own in _BUILT_IN)


__all__ = ["REGISTRY", "Architecture", "find_architecture", "is_built_in", "llama_like"]
