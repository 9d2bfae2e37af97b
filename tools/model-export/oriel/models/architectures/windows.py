"""The windows of a config in the model's sizes: a token sees itself and the tokens just before it,
in all layers or in those that layer_types names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from oriel.contract.activation_names import LayerSizes, ModelShape
from oriel.errors import ArchitectureError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

_SLIDING = "sliding_attention"


def with_windows(config: PreTrainedConfig, shape: ModelShape) -> ModelShape:
    """Return the sizes with the config's windows: the model's `window` where all layers have it,
    else one in the sizes of each layer that has it. ArchitectureError for a window of no tokens."""
    window = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None)
    if window is None:
        return shape
    if not isinstance(window, int) or window < 1:
        raise ArchitectureError(
            "this model's tokens would see nothing",
            got=f"sliding_window: {window!r}",
            expected="a whole number of tokens from 1 on, or null",
            next_step="correct it in the checkpoint's config.json.",
        )
    return with_window(shape, window, kinds)


def with_window(shape: ModelShape, window: int, kinds: Sequence[str] | None) -> ModelShape:
    """Return the sizes with a window in all layers, or in those of that kind."""
    if kinds is None or set(kinds) == {_SLIDING}:
        return replace(shape, window=window)
    if _SLIDING not in kinds:
        return shape
    sizes = (LayerSizes(window=window) if kind == _SLIDING else LayerSizes() for kind in kinds)
    return replace(shape, layer_sizes=tuple(sizes))
