"""The description of an architecture: the paths of its parts, and the sizes in its config."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from oriel.contract.activation_names import ModelShape

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedConfig


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
    """The module whose input is resid_mid where a block is sequential. Where attention and MLP read
    one stream side by side, `shape` says parallel_residual, and nothing is recorded here."""
    mlp: str
    mlp_nonlinearity: str
    """The module whose input is mlp_pre and, in a gated MLP, whose output is mlp_gate."""
    mlp_output_matrix: str
    """The module whose input is mlp_act."""
    final_norm: str
    token_embedding: str
    unembedding: str
    shape: Callable[[PreTrainedConfig], ModelShape]
    repeatable: Callable[[PreTrainedConfig], bool]
    """Returns True if all blocks of this config are the same except for their weights."""
    check_config: Callable[[PreTrainedConfig], None]
    """Raises ArchitectureError for settings that the capture doesn't cover."""
    base_prefix: str
    """Beginning of the parameter names; checkpoints saved without the language model head leave it
    out."""
    mlp_linear: str | None = None
    """The module whose output is mlp_linear; None where the MLP isn't gated."""
    fused_mlp: bool = False
    """The output of `mlp_linear` has two halves: what the nonlinearity reads, then mlp_linear."""
    attention_added: str | None = None
    """The norm through which attention's output passes before it is added to the stream; None where
    there is none. With it, or with a residual_multiplier, `shape` says raw_outputs."""
    mlp_added: str | None = None
    """The same of the MLP."""
    router: str | None = None
    """In a layer with experts, the module with a matrix `weight` that chooses among them and, in
    transformers, returns logits, weights and ids; `mlp_nonlinearity` and the like are then those of
    layers without. None where no config of the architecture has experts."""
    experts: str | None = None
    """The module beside it that transformers keeps the experts' matrices in."""
    residual_multiplier: str | None = None
    """The block's attribute with which its forward multiplies both outputs before it adds them."""
    finish_logits: Callable[[PreTrainedConfig, Tensor], Tensor] | None = None
    """Returns logits for the unembedding's output, where the model scales or caps it."""
    ignored_weights: tuple[str, ...] = ()
    """Patterns of tensors that old checkpoints contain and no model reads."""
    renamed_weights: tuple[tuple[str, str], ...] = ()
    """(pattern, replacement) of the stored names that transformers changes on loading."""
    telling_entries: frozenset[str] = frozenset()
    """Entries of config.json that tell such a model where model_type is missing; none where they
    would fit others as well."""

    @property
    def attention_end(self) -> str:
        """The module whose output attention adds to the stream, but for a multiplier."""
        return self.attention_added or self.attention

    @property
    def mlp_end(self) -> str:
        """The module whose output the MLP adds to the stream, but for a multiplier."""
        return self.mlp_added or self.mlp
