"""Mistral: Llama's parts, and a window."""

from __future__ import annotations

from oriel.models.architectures.llama import llama_like

ARCHITECTURE = llama_like("mistral", "MistralForCausalLM")
