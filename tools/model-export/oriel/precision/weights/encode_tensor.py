"""Encoding of one weight as a recipe's rule asks. encoded_layout.py says where its arrays lie in
the encoded file; rounding/ rounds the columns."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor

import numpy as np
from numpy.typing import NDArray

from oriel.errors import CheckpointError
from oriel.precision.recipes.recipe import Rounding, Rule
from oriel.precision.rounding.gptq import Feedback, Moment, feedback
from oriel.precision.rounding.grid import Bytes, Fit, Floats, Grid
from oriel.precision.rounding.hqq import fit_hqq
from oriel.precision.rounding.mse import fit_mse
from oriel.precision.rounding.nearest import fit_nearest
from oriel.precision.rounding.round_columns import Rounded, round_columns
from oriel.precision.weights.encoded_layout import EncodedWeight
from oriel.precision.weights.expand_weights import Encoded

_FITS: dict[Rounding, Fit] = {
    "nearest": fit_nearest,
    "mse": fit_mse,
    "hqq": fit_hqq,
    "gptq": fit_mse,
}
_VALUES_AT_ONCE = 1 << 16
"""Number of values encoded at a time: with the arrays made of them, they fit a core's own cache."""
_FEEDBACK_COLUMNS = 2048
"""Number of columns encoded at a time where feedback computes products of them."""


def encode_tensor(
    floats: Floats,
    weight: EncodedWeight,
    rule: Rule,
    moments: Sequence[Moment] | None,
    pool: Executor,
) -> Encoded:
    """Encode one weight. floats: in the weight's shape. moments: of the tensors that are multiplied
    by it, for GPTQ; None for a weight that nothing is multiplied by.

    Raises CheckpointError for a weight that has no such encoding.
    """
    if weight.layout == "float32":
        return Encoded(floats)
    if weight.layout == "float16":
        _check_reach(floats, weight.name, float(np.finfo(np.float16).max), "float16")
        return Encoded(floats.astype("<f2"))
    grid = Grid(rule.bits, rule.symmetric, rule.reduced)
    _check_reach(floats, weight.name, grid.reach, f"{rule.bits} bits with float16 scales")
    target = _Target(weight)
    feedbacks: list[Feedback] = []
    if rule.rounding == "gptq" and moments is not None:
        feedbacks = list(pool.map(feedback, moments))
    block = weight.block or weight.summed
    step = _FEEDBACK_COLUMNS if feedbacks else max(16, _VALUES_AT_ONCE // block)

    def encode(start: int) -> None:
        at = slice(start, start + step)
        columns = floats[:, at] if weight.axis == 0 else np.ascontiguousarray(floats[at].T)
        target.put(at, round_columns(columns, block, grid, _FITS[rule.rounding], feedbacks))

    for _ in pool.map(encode, range(0, weight.channels, step)):
        pass
    return target.encoded()


class _Target:
    """The arrays of a quantized weight, filled in for a range of channels at a time."""

    def __init__(self, weight: EncodedWeight) -> None:
        self.weight = weight
        self.values: Bytes = np.empty(weight.values_shape, np.uint8)
        self.scales: NDArray[np.float16] = np.empty(weight.scales_shape, np.float16)
        self.zero_points: Bytes | None = None
        if weight.zero_points is not None:
            self.zero_points = np.empty(weight.zero_points_shape, np.uint8)

    def put(self, at: slice, rounded: Rounded) -> None:
        if self.weight.layout == "channels":
            rows = at if self.weight.axis == 1 else slice(None)
            columns = at if self.weight.axis == 0 else slice(None)
            turned = rounded.values if self.weight.axis == 0 else rounded.values.T
            self.values[rows, columns] = turned
            self.scales[at] = rounded.scales[0]
            if self.zero_points is not None:
                self.zero_points[at] = rounded.zero_points[0]
            return
        assert self.weight.bits is not None and self.weight.block is not None
        packed = packed_rows(self._whole_blocks(rounded), self.weight.bits)
        self.values[at].reshape(packed.shape[1], -1)[:] = packed.T
        self.scales[at] = rounded.scales.T
        if self.zero_points is not None:
            self.zero_points[at] = packed_rows(rounded.zero_points, self.weight.bits).T

    def _whole_blocks(self, rounded: Rounded) -> Bytes:
        """Return the values, with the last block filled up with the value that stands for 0."""
        assert self.weight.block is not None
        missing = self.weight.blocks * self.weight.block - self.weight.summed
        if not missing:
            return rounded.values
        zeros = np.broadcast_to(rounded.zero_points[-1:], (missing, rounded.values.shape[1]))
        return np.concatenate([rounded.values, zeros])

    def encoded(self) -> Encoded:
        if self.weight.signed:
            self.values ^= 0x80
            return Encoded(self.values.view(np.int8), self.scales)
        return Encoded(self.values, self.scales, self.zero_points)


def packed_rows(values: Bytes, bits: int) -> Bytes:
    """Pack two rows of 4 bits into one, the first in the low half; an odd last row stays alone.
    Rows of 8 bits are returned as they are."""
    if bits == 8:
        return values
    packed = values[0::2].copy()
    packed[: len(values) // 2] |= values[1::2] << np.uint8(4)
    return packed


def _check_reach(floats: Floats, name: str, maximum: float, encoding: str) -> None:
    largest = max(float(floats.max(initial=0)), -float(floats.min(initial=0)))
    # Not `largest > maximum`: that is false for NaN, which must be refused too.
    if not largest <= maximum:
        raise CheckpointError(
            f"{name} doesn't fit {encoding}",
            got=f"a weight of {largest:.3g}",
            expected=f"at most {maximum:.6g}",
            next_step="keep it float32 by a recipe of your own, or leave this precision out.",
        )
