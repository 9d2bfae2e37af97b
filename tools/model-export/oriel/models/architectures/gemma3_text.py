"""Gemma 3's language model: Gemma 2's blocks with a norm of each head's queries and keys, and other
rotary positions in layers with a window than in the others."""

from __future__ import annotations

from oriel.models.architectures.gemma2 import gemma2_like

ARCHITECTURE = gemma2_like("gemma3_text", "Gemma3ForCausalLM")
