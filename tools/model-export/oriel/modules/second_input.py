"""A second input, made from the example: other sizes on the dynamic axes and other values, so that
whatever was baked in shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from oriel.formats.size_names import terms_of
from oriel.modules.axes import Axes

_SEED = 20_011
_SPREAD = 0.5
"""Size of the noise that floats get, in standard deviations of the example's values."""


def second_input(tensors: Sequence[Tensor], axes: Axes, sizes: Mapping[str, int]) -> list[Tensor]:
    """Return tensors of the same dtypes and of these sizes on the dynamic axes.

    Along an axis the example's entries are drawn anew, the same ones in every tensor that has the
    axis, so that rows which belong together stay together and whole numbers stay within range.
    An axis that is the sum of others gets the entries of each of these, one after the other.
    Floats get noise of half the standard deviation of the tensor's values; those that lie in
    [0, 1] are kept there.
    """
    draw = torch.Generator().manual_seed(_SEED)
    picks = {
        name: torch.randint(0, size, (sizes[name],), generator=draw)
        for name, size in axes.sizes.items()
    }
    for name in axes.sums:
        picks[name] = _joined(name, picks, axes.sizes)
    made = []
    for tensor, named in zip(tensors, axes.of_tensors, strict=True):
        values = tensor.detach().cpu()
        for axis, name in named.items():
            values = values.index_select(axis, picks[name])
        made.append(_with_noise(values, draw).clone())
    return made


def _joined(name: str, picks: Mapping[str, Tensor], sizes: Mapping[str, int]) -> Tensor:
    """Return the entries of a sum: those of its first term, then those of the next, which lie
    behind all of the first in the example."""
    parts, start = [], 0
    for term in terms_of(name):
        parts.append(picks[term] + start)
        start += sizes[term]
    return torch.cat(parts)


def _with_noise(values: Tensor, draw: torch.Generator) -> Tensor:
    if not values.is_floating_point():
        return values
    finite = torch.isfinite(values)
    known = values[finite].float()
    spread = float(known.std()) if known.numel() > 1 else 0.0
    if spread == 0.0:
        spread = float(known.abs().max()) * 0.1 if known.numel() else 0.0
    noise = torch.randn(values.shape, generator=draw) * (_SPREAD * spread)
    moved = values + noise.to(values.dtype)
    if known.numel() and float(known.min()) >= 0 and float(known.max()) <= 1:
        moved = moved.clamp(0, 1)
    return torch.where(finite, moved, values)
