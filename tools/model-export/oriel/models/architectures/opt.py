"""OPT: learned positions, ReLU, and an MLP that is two matrices of the block. LayerNorm stands
before each part or, in the 350M, whose embedding has a width of its own, after each sum."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from oriel.contract.activation_names import ModelShape
from oriel.errors import ArchitectureError
from oriel.models.architectures.architecture import Architecture
from oriel.models.architectures.plain_heads import plain_shape
from oriel.models.architectures.replaced import ReplacedModule

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedConfig


class _Block(ReplacedModule):
    """transformers' own lays texts end to end before its MLP."""

    def __init__(self, own: nn.Module, config: PreTrainedConfig) -> None:
        super().__init__(own)
        self.norms_first = config.do_layer_norm_before

    def forward(self, hidden_states: Tensor, **arguments: object) -> Tensor:
        attention = self.get_submodule("self_attn")
        if self.norms_first:
            normed = self.by("self_attn_layer_norm", hidden_states)
            middle: Tensor = hidden_states + attention(hidden_states=normed, **arguments)[0]
            return middle + self._mlp(self.by("final_layer_norm", middle))
        summed = hidden_states + attention(hidden_states=hidden_states, **arguments)[0]
        middle = self.by("self_attn_layer_norm", summed)
        return self.by("final_layer_norm", middle + self._mlp(middle))

    def _mlp(self, states: Tensor) -> Tensor:
        return self.by("fc2", self.by("activation_fn", self.by("fc1", states)))


def _shape(config: PreTrainedConfig) -> ModelShape:
    return replace(plain_shape(config, config.ffn_dim), post_norm=not config.do_layer_norm_before)


def _check_config(config: PreTrainedConfig) -> None:
    if config.do_layer_norm_before and config._remove_final_layer_norm:
        raise ArchitectureError(
            "this OPT has no norm between its stream and its logits",
            got="_remove_final_layer_norm: true",
            expected="false",
            next_step="save the checkpoint by transformers from 4.20.1 on, and export that.",
        )


def _described(config: PreTrainedConfig) -> Architecture:
    """Return what is where in an OPT of these settings."""
    found = ARCHITECTURE
    if not config.do_layer_norm_before:
        found = replace(found, mlp_norm="self_attn_layer_norm", final_norm=None)
    if config.word_embed_proj_dim != config.hidden_size:
        found = replace(found, head=("model.decoder.project_out", found.unembedding))
    return found


ARCHITECTURE = Architecture(
    model_type="opt",
    model_class="OPTForCausalLM",
    blocks="model.decoder.layers",
    attention="self_attn",
    attention_output_matrix="self_attn.out_proj",
    mlp_norm="final_layer_norm",
    mlp="fc2",
    mlp_nonlinearity="activation_fn",
    mlp_output_matrix="fc2",
    final_norm="model.decoder.final_layer_norm",
    token_embedding="model.decoder.embed_tokens",
    unembedding="lm_head",
    shape=_shape,
    repeatable=lambda config: True,
    check_config=_check_config,
    base_prefix="model.",
    own_block=_Block,
    described=_described,
)
