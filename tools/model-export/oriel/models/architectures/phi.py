"""Phi: parallel blocks with LayerNorm, rotary positions in a part of each head, an MLP without a
gate, and a biased unembedding."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from oriel.models.architectures.llama import llama_like, llama_shape

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

    from oriel.contract.activation_names import ModelShape


def _shape(config: PreTrainedConfig) -> ModelShape:
    return replace(llama_shape(config), gated_mlp=False, parallel_residual=True)


ARCHITECTURE = llama_like(
    "phi",
    "PhiForCausalLM",
    attention_output_matrix="self_attn.dense",
    mlp_norm="input_layernorm",
    mlp_nonlinearity="mlp.activation_fn",
    mlp_linear=None,
    mlp_output_matrix="mlp.fc2",
    final_norm="model.final_layernorm",
    shape=_shape,
)
