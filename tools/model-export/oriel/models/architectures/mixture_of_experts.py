"""Layers in which a router chooses among several gated MLPs, with Llama's parts for the rest. Some
configs keep one MLP in some of their layers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from oriel.contract.activation_names import LayerSizes
from oriel.errors import ArchitectureError
from oriel.models.architectures.llama import (
    check_rotary,
    layers_are_alike,
    llama_like,
    llama_shape,
)

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

    from oriel.contract.activation_names import ModelShape
    from oriel.models.architectures.architecture import Architecture


def _has_experts(config: PreTrainedConfig) -> list[bool]:
    """Return of each layer whether it has a router, as transformers builds it."""
    every = getattr(config, "decoder_sparse_step", 1)
    without = getattr(config, "mlp_only_layers", None) or ()
    return [
        config.num_experts > 0 and layer not in without and (layer + 1) % every == 0
        for layer in range(config.num_hidden_layers)
    ]


def _shape(config: PreTrainedConfig) -> ModelShape:
    shape, routed = llama_shape(config), _has_experts(config)
    if not any(routed):
        return shape
    sizes = {
        "experts": config.num_experts,
        "active_experts": config.num_experts_per_tok,
        "intermediate": getattr(config, "moe_intermediate_size", config.intermediate_size),
    }
    whole = replace(shape, **sizes)
    if all(routed):
        return whole
    given = shape.layer_sizes or (LayerSizes(),) * shape.layers
    one = {"experts": 0, "intermediate": config.intermediate_size}
    layers = (own if has else replace(own, **one) for own, has in zip(given, routed, strict=True))
    return replace(whole, layer_sizes=tuple(layers))


def _repeatable(config: PreTrainedConfig) -> bool:
    return layers_are_alike(config) and len(set(_has_experts(config))) == 1


def _check_config(config: PreTrainedConfig) -> None:
    check_rotary(config)
    if any(_has_experts(config)) and not 1 <= config.num_experts_per_tok <= config.num_experts:
        raise ArchitectureError(
            "the router of this model can't choose as many experts",
            got=f"num_experts_per_tok: {config.num_experts_per_tok!r} of {config.num_experts}",
            expected="at least 1, and at most all",
            next_step="correct it in the checkpoint's config.json.",
        )


def mixture_like(
    model_type: str, model_class: str, renamed_weights: tuple[tuple[str, str], ...] = ()
) -> Architecture:
    """Describe an architecture with experts whose other parts are Llama's."""
    return llama_like(
        model_type,
        model_class,
        router="mlp.gate",
        experts="mlp.experts",
        shape=_shape,
        repeatable=_repeatable,
        check_config=_check_config,
        renamed_weights=renamed_weights,
    )
