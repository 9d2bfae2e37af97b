"""StarCoder2: Llama's attention with a window, LayerNorm, and an MLP without a gate."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from oriel.models.architectures.llama import llama_like, llama_shape

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

    from oriel.contract.activation_names import ModelShape


def _shape(config: PreTrainedConfig) -> ModelShape:
    return replace(llama_shape(config), gated_mlp=False)


ARCHITECTURE = llama_like(
    "starcoder2",
    "Starcoder2ForCausalLM",
    mlp_nonlinearity="mlp.act",
    mlp_linear=None,
    mlp_output_matrix="mlp.c_proj",
    shape=_shape,
)
