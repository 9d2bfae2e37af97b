"""OLMo 2: Llama's parts with norms behind attention and MLP in place of those before them, and a
norm of all heads' queries and keys."""

from __future__ import annotations

from oriel.models.architectures.llama import llama_like, llama_shape_but

ARCHITECTURE = llama_like(
    "olmo2",
    "Olmo2ForCausalLM",
    mlp_norm="mlp",
    attention_added="post_attention_layernorm",
    mlp_added="post_feedforward_layernorm",
    shape=llama_shape_but(raw_outputs=True),
)
