"""Qwen3: Llama's parts, a norm of each head's queries and keys, and heads of a width of their
own."""

from __future__ import annotations

from oriel.models.architectures.llama import llama_like

ARCHITECTURE = llama_like("qwen3", "Qwen3ForCausalLM")
