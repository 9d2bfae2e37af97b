"""StableLM: Llama's parts with LayerNorm, rotary positions in a part of each head, and blocks that
may be parallel."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from oriel.models.architectures.llama import llama_like, llama_shape

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

    from oriel.contract.activation_names import ModelShape


def _shape(config: PreTrainedConfig) -> ModelShape:
    return replace(llama_shape(config), parallel_residual=config.use_parallel_residual)


ARCHITECTURE = llama_like("stablelm", "StableLmForCausalLM", shape=_shape)
