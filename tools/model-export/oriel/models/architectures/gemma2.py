"""Gemma 2: Gemma with a norm behind each part too, soft caps of scores and logits, and a window in
every other layer; gemma2_like for the later ones with the same blocks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oriel.errors import ArchitectureError
from oriel.models.architectures.cap_logits import cap_logits
from oriel.models.architectures.llama import check_rotary, llama_like, llama_shape_but

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

    from oriel.models.architectures.architecture import Architecture


def _check_config(config: PreTrainedConfig) -> None:
    check_rotary(config)
    if getattr(config, "use_bidirectional_attention", None):
        raise ArchitectureError(
            "tokens of this model see those after them",
            got="use_bidirectional_attention: true",
            expected="a model that generates text",
            next_step="convert it as a module: `oriel convert`.",
        )


def gemma2_like(model_type: str, model_class: str) -> Architecture:
    """Describe an architecture whose blocks are Gemma 2's."""
    return llama_like(
        model_type,
        model_class,
        mlp_norm="pre_feedforward_layernorm",
        attention_added="post_attention_layernorm",
        mlp_added="post_feedforward_layernorm",
        shape=llama_shape_but(raw_outputs=True),
        check_config=_check_config,
        finish_logits=cap_logits,
    )


ARCHITECTURE = gemma2_like("gemma2", "Gemma2ForCausalLM")
