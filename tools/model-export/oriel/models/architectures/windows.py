"""Windows: a token sees itself and the tokens just before it, in all layers or in some. As the
model's sizes say it, and in a mask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from oriel.contract.activation_names import LayerSizes, ModelShape
from oriel.errors import ArchitectureError

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedConfig

_SLIDING = "sliding_attention"


def with_windows(config: PreTrainedConfig, shape: ModelShape) -> ModelShape:
    """Return the sizes with the config's sliding_window, in all layers or where layer_types says
    so. ArchitectureError for a window of no tokens."""
    window = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None)
    return shape if window is None else with_window(shape, window, kinds)


def with_window(shape: ModelShape, window: int, kinds: Sequence[str] | None) -> ModelShape:
    """Return the sizes with a window in all layers, or in those of that kind."""
    has = [kind == _SLIDING for kind in kinds or [_SLIDING]]
    return with_window_in(shape, has, "sliding_window", window)


def with_window_in(
    shape: ModelShape, has: Sequence[bool], setting: str, window: object
) -> ModelShape:
    """Return the sizes with a window: the model's `window` where all layers have it, else one in
    the sizes of each layer that has it. ArchitectureError for a window of no tokens, which names
    the config's setting."""
    if not any(has):
        return shape
    if not isinstance(window, int) or window < 1:
        raise ArchitectureError(
            "this model's tokens would see nothing",
            got=f"{setting}: {window!r}",
            expected="a whole number of tokens from 1 on",
            next_step="correct it in the checkpoint's config.json.",
        )
    if all(has):
        return replace(shape, window=window)
    sizes = (LayerSizes(window=window) if own else LayerSizes() for own in has)
    return replace(shape, layer_sizes=tuple(sizes))


def within_window(mask: Tensor, window: int) -> Tensor:
    """Return the mask (batch or 1, 1, seq, total), bool, with only the last `window` tokens that
    each token may see, itself and padding among them."""
    seq, total = mask.shape[-2:]
    looking = torch.arange(seq)[:, None] + (total - seq)
    return mask & (looking - torch.arange(total) < window)
