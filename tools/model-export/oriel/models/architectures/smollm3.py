"""SmolLM3: Llama's parts, where some layers have no positions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oriel.models.architectures.llama import layers_are_alike, llama_like

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


def _repeatable(config: PreTrainedConfig) -> bool:
    return layers_are_alike(config) and len(set(config.no_rope_layers)) == 1


ARCHITECTURE = llama_like("smollm3", "SmolLM3ForCausalLM", repeatable=_repeatable)
