"""Cohere's Command R: parallel blocks with LayerNorm without a bias, a gated MLP, and scaled
logits."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from oriel.models.architectures.llama import llama_like, llama_shape

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedConfig

    from oriel.contract.activation_names import ModelShape


def _shape(config: PreTrainedConfig) -> ModelShape:
    return replace(llama_shape(config), parallel_residual=True)


def _finish_logits(config: PreTrainedConfig, logits: Tensor) -> Tensor:
    finished: Tensor = logits * config.logit_scale
    return finished


ARCHITECTURE = llama_like(
    "cohere",
    "CohereForCausalLM",
    mlp_norm="input_layernorm",
    shape=_shape,
    finish_logits=_finish_logits,
)
