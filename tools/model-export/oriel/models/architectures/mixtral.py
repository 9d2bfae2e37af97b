"""Mixtral: Mistral with several MLPs in each layer, which have other names in checkpoints."""

from __future__ import annotations

from oriel.models.architectures.mixture_of_experts import mixture_like

ARCHITECTURE = mixture_like(
    "mixtral",
    "MixtralForCausalLM",
    renamed_weights=(
        (r"\.block_sparse_moe\.", ".mlp."),
        (r"(\.experts\.\d+)\.w1\.", r"\1.gate_proj."),
        (r"(\.experts\.\d+)\.w2\.", r"\1.down_proj."),
        (r"(\.experts\.\d+)\.w3\.", r"\1.up_proj."),
    ),
)
