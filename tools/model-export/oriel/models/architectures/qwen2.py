"""Qwen2: Llama's parts with biased queries, keys and values; later layers may have a window."""

from __future__ import annotations

from oriel.models.architectures.llama import llama_like

ARCHITECTURE = llama_like("qwen2", "Qwen2ForCausalLM")
