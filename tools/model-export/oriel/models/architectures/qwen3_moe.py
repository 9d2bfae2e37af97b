"""Qwen3 with several MLPs in each layer, or in those that the config doesn't leave out."""

from __future__ import annotations

from oriel.models.architectures.mixture_of_experts import mixture_like

ARCHITECTURE = mixture_like("qwen3_moe", "Qwen3MoeForCausalLM")
