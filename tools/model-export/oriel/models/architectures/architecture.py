"""The description of an architecture: where its parts are and what its config says of their
sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from oriel.contract.activation_names import ModelShape


@dataclass(frozen=True)
class Architecture:
    """Paths are module paths as in `named_modules`; block paths are relative to a block."""

    model_type: str
    model_class: str
    """Name of the causal language model class in transformers."""
    blocks: str
    attention: str
    attention_output_matrix: str
    """The module whose input is attn_z, heads side by side."""
    mlp_norm: str
    """The module whose input is resid_mid."""
    mlp: str
    mlp_nonlinearity: str
    """The module whose input is mlp_pre."""
    mlp_output_matrix: str
    """The module whose input is mlp_act."""
    final_norm: str
    token_embedding: str
    unembedding: str
    shape: Callable[[Any], ModelShape]
    repeatable: Callable[[Any], bool]
    """Whether all blocks of this config are the same but for their weights."""
    check_config: Callable[[Any], None]
    """Raises ArchitectureError for settings that the capture doesn't cover."""
    base_prefix: str
    """What parameter names begin with, and what checkpoints of the headless model leave out."""
    ignored_weights: tuple[str, ...] = ()
    """Patterns of tensors that old checkpoints carry and no model reads."""
