"""OLMo: Llama's parts, LayerNorm without weights, and clipped queries, keys and values."""

from __future__ import annotations

from oriel.models.architectures.llama import llama_like

ARCHITECTURE = llama_like("olmo", "OlmoForCausalLM")
