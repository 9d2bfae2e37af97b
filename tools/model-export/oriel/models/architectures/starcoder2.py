"""StarCoder2: Llama's attention with a window, LayerNorm, and an MLP without a gate."""

from __future__ import annotations

from oriel.models.architectures.llama import llama_like, llama_shape_but

ARCHITECTURE = llama_like(
    "starcoder2",
    "Starcoder2ForCausalLM",
    mlp_nonlinearity="mlp.act",
    mlp_linear=None,
    mlp_output_matrix="mlp.c_proj",
    shape=llama_shape_but(gated_mlp=False),
)
