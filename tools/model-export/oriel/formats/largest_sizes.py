"""The largest size of each dynamic axis, for formats that plan their memory."""

from __future__ import annotations

from collections.abc import Sequence

from oriel.formats.format import FlatCall
from oriel.formats.size_names import is_sum

_MOST_TIMES = 8
"""An axis may have this many times the example's size."""


def largest_sizes(call: FlatCall) -> dict[str, int]:
    """Return the size of each dynamic axis that a format which needs a bound gets."""
    return {
        name: call.largest.get(name, tensor.shape[axis] * _MOST_TIMES)
        for tensor, axes in zip(call.inputs, call.axes, strict=True)
        for axis, name in axes.items()
        if not is_sum(name)
    }


def bound_notes(call: FlatCall) -> Sequence[str]:
    """Say how large each dynamic axis may be in such a format."""
    return [f"{name} is at most {size}" for name, size in largest_sizes(call).items()]
