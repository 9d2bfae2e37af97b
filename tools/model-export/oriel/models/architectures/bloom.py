"""BLOOM: ALiBi in place of positions, a norm of the embedding, one matrix for queries, keys and
values, and parts that add the stream to what they give."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oriel.contract.activation_names import ModelShape
from oriel.errors import ArchitectureError
from oriel.models.architectures.alibi import alibi, alibi_slopes
from oriel.models.architectures.architecture import Architecture
from oriel.models.architectures.fused_heads import split_groups
from oriel.models.architectures.interface import InterfaceAttention

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedConfig
    from transformers.cache_utils import Cache

_TRAINED_LENGTH = 2048
"""Tokens of the texts that BLOOM was trained on; few of its checkpoints say so."""


class _Attention(InterfaceAttention):
    def forward(
        self,
        hidden_states: Tensor,
        residual: Tensor,
        attention_mask: Tensor,
        layer_past: Cache | None = None,
        **_: object,
    ) -> tuple[Tensor, Tensor]:
        heads = self.config.n_head
        states = split_groups(self.by("query_key_value", hidden_states), heads, 1)
        added = alibi(attention_mask, alibi_slopes(heads))
        mix, probs = self.attend(states, layer_past, attention_mask, alibi=added)
        return residual + self.by("dense", mix), probs


def _shape(config: PreTrainedConfig) -> ModelShape:
    return ModelShape(
        layers=config.n_layer,
        hidden=config.hidden_size,
        heads=config.n_head,
        kv_heads=config.n_head,
        head_dim=config.hidden_size // config.n_head,
        intermediate=4 * config.hidden_size,
        vocab=config.vocab_size,
        context_length=getattr(config, "seq_length", None) or _TRAINED_LENGTH,
    )


def _check_config(config: PreTrainedConfig) -> None:
    for name in ("apply_residual_connection_post_layernorm", "slow_but_exact"):
        if getattr(config, name):
            raise ArchitectureError(
                "this BLOOM adds its parts to something else than its stream, or in slices",
                got=f"{name}: true",
                expected="false",
                next_step="set it to false if the checkpoint was trained so, or export another.",
            )


ARCHITECTURE = Architecture(
    model_type="bloom",
    model_class="BloomForCausalLM",
    blocks="transformer.h",
    attention="self_attention.dense",
    attention_function="self_attention",
    attention_output_matrix="self_attention.dense",
    mlp_norm="post_attention_layernorm",
    mlp="mlp.dense_4h_to_h",
    mlp_nonlinearity="mlp.gelu_impl",
    mlp_output_matrix="mlp.dense_4h_to_h",
    final_norm="transformer.ln_f",
    token_embedding="transformer.word_embeddings",
    unembedding="lm_head",
    shape=_shape,
    repeatable=lambda config: True,
    check_config=_check_config,
    base_prefix="transformer.",
    through_interface=_Attention,
)
