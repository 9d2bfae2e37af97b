"""Phi-3: Llama's parts with the matrices of attention in one, and those of the gated MLP in one."""

from __future__ import annotations

from oriel.models.architectures.llama import llama_like

ARCHITECTURE = llama_like(
    "phi3",
    "Phi3ForCausalLM",
    mlp_nonlinearity="mlp.activation_fn",
    mlp_linear="mlp.gate_up_proj",
    fused_mlp=True,
)
