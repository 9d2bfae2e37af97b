"""Cohere's Command R: parallel blocks with LayerNorm without a bias, a gated MLP, and scaled
logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oriel.models.architectures.llama import llama_like, llama_shape_but

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedConfig


def _finish_logits(config: PreTrainedConfig, logits: Tensor) -> Tensor:
    finished: Tensor = logits * config.logit_scale
    return finished


ARCHITECTURE = llama_like(
    "cohere",
    "CohereForCausalLM",
    mlp_norm="input_layernorm",
    shape=llama_shape_but(parallel_residual=True),
    finish_logits=_finish_logits,
)
