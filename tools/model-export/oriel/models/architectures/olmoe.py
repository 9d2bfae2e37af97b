"""OLMoE: several MLPs in each layer, and a norm of all heads' queries and keys."""

from __future__ import annotations

from oriel.models.architectures.mixture_of_experts import mixture_like

ARCHITECTURE = mixture_like("olmoe", "OlmoeForCausalLM")
