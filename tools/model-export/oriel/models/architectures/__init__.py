"""Facts about each architecture that the exporter needs. To add an architecture, add a file here
with an ARCHITECTURE of its own, and one line to the registry below."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from oriel.contract.activation_names import ModelShape
from oriel.errors import ArchitectureError
from oriel.models.architectures.architecture import Architecture
from oriel.models.architectures.bert import ARCHITECTURE as BERT
from oriel.models.architectures.bloom import ARCHITECTURE as BLOOM
from oriel.models.architectures.classifier import Classifier, label_count
from oriel.models.architectures.cohere import ARCHITECTURE as COHERE
from oriel.models.architectures.distilbert import ARCHITECTURE as DISTILBERT
from oriel.models.architectures.electra import ARCHITECTURE as ELECTRA
from oriel.models.architectures.falcon import ARCHITECTURE as FALCON
from oriel.models.architectures.gemma import ARCHITECTURE as GEMMA
from oriel.models.architectures.gemma2 import ARCHITECTURE as GEMMA2
from oriel.models.architectures.gemma3_text import ARCHITECTURE as GEMMA3_TEXT
from oriel.models.architectures.gpt2 import ARCHITECTURE as GPT2
from oriel.models.architectures.gpt_neo import ARCHITECTURE as GPT_NEO
from oriel.models.architectures.gpt_neox import ARCHITECTURE as GPT_NEOX
from oriel.models.architectures.gptj import ARCHITECTURE as GPTJ
from oriel.models.architectures.granite import ARCHITECTURE as GRANITE
from oriel.models.architectures.llama import ARCHITECTURE as LLAMA
from oriel.models.architectures.llama import llama_like
from oriel.models.architectures.mistral import ARCHITECTURE as MISTRAL
from oriel.models.architectures.mixtral import ARCHITECTURE as MIXTRAL
from oriel.models.architectures.modernbert import ARCHITECTURE as MODERNBERT
from oriel.models.architectures.olmo import ARCHITECTURE as OLMO
from oriel.models.architectures.olmo2 import ARCHITECTURE as OLMO2
from oriel.models.architectures.olmoe import ARCHITECTURE as OLMOE
from oriel.models.architectures.opt import ARCHITECTURE as OPT
from oriel.models.architectures.phi import ARCHITECTURE as PHI
from oriel.models.architectures.phi3 import ARCHITECTURE as PHI3
from oriel.models.architectures.qwen2 import ARCHITECTURE as QWEN2
from oriel.models.architectures.qwen3 import ARCHITECTURE as QWEN3
from oriel.models.architectures.qwen3_moe import ARCHITECTURE as QWEN3_MOE
from oriel.models.architectures.roberta import ARCHITECTURE as ROBERTA
from oriel.models.architectures.smollm3 import ARCHITECTURE as SMOLLM3
from oriel.models.architectures.stablelm import ARCHITECTURE as STABLELM
from oriel.models.architectures.starcoder2 import ARCHITECTURE as STARCODER2

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

_BUILT_IN = (
    BERT,
    BLOOM,
    COHERE,
    DISTILBERT,
    ELECTRA,
    FALCON,
    GEMMA,
    GEMMA2,
    GEMMA3_TEXT,
    GPT2,
    GPT_NEO,
    GPT_NEOX,
    GPTJ,
    GRANITE,
    LLAMA,
    MISTRAL,
    MIXTRAL,
    OLMO,
    OLMO2,
    OLMOE,
    MODERNBERT,
    OLMO,
    OLMO2,
    OPT,
    PHI,
    PHI3,
    QWEN2,
    QWEN3,
    QWEN3_MOE,
    ROBERTA,
    SMOLLM3,
    STABLELM,
    STARCODER2,
)
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


def describe(config: PreTrainedConfig) -> Architecture:
    """Return the description of the model that a config is of."""
    architecture = find_architecture(config.model_type)
    if architecture.described is not None:
        architecture = architecture.described(config)
    named = config.architectures or ()
    heads = [head for head in architecture.classifiers if head.model_class in named]
    return _with_head(architecture, heads[0]) if heads else architecture


def _with_head(architecture: Architecture, head: Classifier) -> Architecture:
    """Return the description of the same model with a head over labels."""
    replaced = {path.partition(".")[0] for path in architecture.logits_modules}

    def shape(config: PreTrainedConfig) -> ModelShape:
        labels = label_count(config)
        return replace(architecture.shape(config), labels=labels, pooled=head.pools is not None)

    return replace(
        architecture,
        model_class=head.model_class,
        unembedding=head.matrix,
        head=(),
        shape=shape,
        classifier=head,
        copied_weights=(),
        # A classifier saved from a language model may still hold that one's head.
        ignored_weights=(
            *architecture.ignored_weights,
            *(rf"{re.escape(name)}\..*" for name in sorted(replaced)),
        ),
    )


def classified() -> list[str]:
    """Return the architectures of which heads over labels are read."""
    return sorted(a.model_type for a in REGISTRY.values() if a.classifiers)


def is_built_in(architecture: Architecture, config: PreTrainedConfig) -> bool:
    """Return whether this value is one of this package's files, as it describes such a config, and
    not a caller's own."""
    own = next((own for own in _BUILT_IN if own.model_type == architecture.model_type), None)
    if own is None:
        return False
    if architecture.classifier is not None:
        return architecture.classifier in own.classifiers
    if own.described is None:
        return architecture is own
    return architecture == own.described(config)


__all__ = [
    "REGISTRY",
    "Architecture",
    "classified",
    "describe",
    "find_architecture",
    "is_built_in",
    "llama_like",
]
