"""The description of an architecture: the paths of its parts, and the sizes in its config."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from oriel.contract.activation_names import ModelShape
from oriel.models.architectures.classifier import Classifier

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedConfig


@dataclass(frozen=True)
class Architecture:
    """Paths are module paths as in `named_modules`; block paths are relative to a block."""

    model_type: str
    model_class: str
    """Name of the class in transformers of the model with its head over the vocabulary: a causal
    language model, or a masked one."""
    blocks: str
    attention: str
    attention_output_matrix: str
    """The module whose input is attn_z, heads side by side."""
    mlp_norm: str
    """The module whose input is resid_mid where a block is sequential; where the stream itself is
    normed (post_norm in `shape`), the norm whose output it is. Where attention and MLP read
    one stream side by side, `shape` says parallel_residual, and nothing is recorded here."""
    mlp: str
    mlp_nonlinearity: str
    """The module whose input is mlp_pre and, in a gated MLP, whose output is mlp_gate."""
    mlp_output_matrix: str
    """The module whose input is mlp_act."""
    final_norm: str | None
    """None where blocks end with a norm of their own, so that the last resid_post is normed."""
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
    attention_function: str | None = None
    """The module that calls transformers' attention function, where `attention` doesn't itself."""
    head: tuple[str, ...] = ()
    """Modules that make logits of final_norm, in order, where it isn't the unembedding alone."""
    first_position: Callable[[PreTrainedConfig], int] | None = None
    """Returns the position id of a text's first token where it isn't 0."""
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
    through_interface: Callable[[nn.Module, PreTrainedConfig, int], nn.Module] | None = None
    """Makes, of the attention module of a block with this index, one with the same parameters that
    computes the same through transformers' attention interface; None where transformers' own
    does."""
    own_block: Callable[[nn.Module, PreTrainedConfig], nn.Module] | None = None
    """Makes, of a block whose tensors aren't those of the contract, one with the same parameters
    that computes the same: where transformers' own lays texts end to end, or adds in place."""
    described: Callable[[PreTrainedConfig], Architecture] | None = None
    """Returns the description for a config, where settings decide which parts there are."""
    before_capture: Callable[[nn.Module], None] | None = None
    """Changes a model whose modules are about to be replaced, where these do what it did."""
    mend_eager: Callable[[nn.Module], None] | None = None
    """Corrects transformers' own model where its eager attention, which verification observes,
    computes something else than its default attention."""
    finish_logits: Callable[[PreTrainedConfig, Tensor], Tensor] | None = None
    """Returns logits for the unembedding's output, where the model scales or caps it."""
    ignored_weights: tuple[str, ...] = ()
    """Patterns of tensors that old checkpoints contain and no model reads."""
    copied_weights: tuple[tuple[str, str], ...] = ()
    """(name, name of the parameter that is read) of parameters that transformers makes twice and
    that are one where the embeddings are tied; untied, the model reads the second alone."""
    renamed_weights: tuple[tuple[str, str], ...] = ()
    """(pattern, replacement) of the stored names that transformers changes on loading."""
    classifiers: tuple[Classifier, ...] = ()
    """Heads over labels that a checkpoint may have in the place of the one over the vocabulary."""
    classifier: Classifier | None = None
    """The one of these that a checkpoint has, once its config was read."""
    telling_entries: frozenset[str] = frozenset()
    """Entries of config.json that tell such a model where model_type is missing; none where they
    would fit others as well."""

    @property
    def attention_caller(self) -> str:
        """The module that calls transformers' attention function."""
        return self.attention_function or self.attention

    @property
    def logits_modules(self) -> tuple[str, ...]:
        """The modules that make logits of final_norm, in order."""
        return self.head or (self.unembedding,)

    def norm_module(self, model: nn.Module) -> nn.Module:
        """Return the module whose output is final_norm."""
        if self.final_norm is not None:
            return model.get_submodule(self.final_norm)
        return list(model.get_submodule(self.blocks).children())[-1]

    @property
    def attention_end(self) -> str:
        """The module whose output attention adds to the stream, but for a multiplier."""
        return self.attention_added or self.attention

    @property
    def mlp_end(self) -> str:
        """The module whose output the MLP adds to the stream, but for a multiplier."""
        return self.mlp_added or self.mlp
