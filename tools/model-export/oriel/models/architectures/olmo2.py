"""OLMo 2: Llama's parts with norms behind attention and MLP in place of those before them, and a
norm of all heads' queries and keys."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from oriel.models.architectures.llama import llama_like, llama_shape

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

    from oriel.contract.activation_names import ModelShape


def _shape(config: PreTrainedConfig) -> ModelShape:
    return replace(llama_shape(config), raw_outputs=True)


ARCHITECTURE = llama_like(
    "olmo2",
    "Olmo2ForCausalLM",
    mlp_norm="mlp",
    attention_added="post_attention_layernorm",
    mlp_added="post_feedforward_layernorm",
    shape=_shape,
)
