"""Granite: Llama's parts with multipliers of the embedding, of the scores, of what attention and
MLP add to the stream, and of the logits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oriel.errors import ArchitectureError
from oriel.models.architectures.llama import check_rotary, llama_like, llama_shape_but

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedConfig


def _check_config(config: PreTrainedConfig) -> None:
    check_rotary(config)
    for name in ("residual_multiplier", "logits_scaling"):
        if not getattr(config, name):
            raise ArchitectureError(
                "this model adds nothing to its stream, or divides by nothing",
                got=f"{name}: {getattr(config, name)!r}",
                expected="a number that isn't 0",
                next_step="correct it in the checkpoint's config.json.",
            )


def _finish_logits(config: PreTrainedConfig, logits: Tensor) -> Tensor:
    finished: Tensor = logits / config.logits_scaling
    return finished


ARCHITECTURE = llama_like(
    "granite",
    "GraniteForCausalLM",
    residual_multiplier="residual_multiplier",
    shape=llama_shape_but(raw_outputs=True),
    check_config=_check_config,
    finish_logits=_finish_logits,
)
