"""Gemma: Llama's parts with scaled embeddings and RMSNorm that multiplies by 1 + weight."""

from __future__ import annotations

from oriel.models.architectures.llama import llama_like

ARCHITECTURE = llama_like("gemma", "GemmaForCausalLM")
