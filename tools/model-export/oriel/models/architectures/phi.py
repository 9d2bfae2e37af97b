"""Phi: parallel blocks with LayerNorm, rotary positions in a part of each head, an MLP without a
gate, and a biased unembedding."""

from __future__ import annotations

from oriel.models.architectures.llama import llama_like, llama_shape_but

ARCHITECTURE = llama_like(
    "phi",
    "PhiForCausalLM",
    attention_output_matrix="self_attn.dense",
    mlp_norm="input_layernorm",
    mlp_nonlinearity="mlp.activation_fn",
    mlp_linear=None,
    mlp_output_matrix="mlp.fc2",
    final_norm="model.final_layernorm",
    shape=llama_shape_but(gated_mlp=False, parallel_residual=True),
)
