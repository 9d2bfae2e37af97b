"""The numbers that quantized weights can stand for: (q - zero point) * scale.

In this package, weights that share a scale are in one column: arrays are (values, groups), since
one NumPy call then works on many groups at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

MAX_SCALE = np.float32(np.finfo(np.float16).max)


@dataclass(frozen=True)
class Grid:
    """The whole numbers 0 … 2^bits - 1, around the middle or around a zero point for each group; of
    a reduced grid, which is symmetric, the half of them around the middle."""

    bits: int
    symmetric: bool
    reduced: bool = False

    @property
    def half(self) -> int:
        """The number of values below the middle."""
        return self.middle >> 1 if self.reduced else self.middle

    @property
    def bottom(self) -> int:
        return self.middle - self.half

    @property
    def top(self) -> int:
        return self.middle + self.half - 1

    @property
    def middle(self) -> int:
        return 1 << (self.bits - 1)

    @property
    def reach(self) -> float:
        """The largest weight whose scale is a float16."""
        return float(MAX_SCALE) * (self.half - 1)


@dataclass(frozen=True)
class Fitted:
    """A scale and a zero point for each group, as whole numbers in float32."""

    scales: Floats
    """(groups); each is exact in float16, and none is 0."""
    zero_points: Floats
    """(groups), 0 … top."""

    def quantize(self, weights: Floats, grid: Grid) -> Floats:
        """Return the nearest value of the grid, a whole number in float32; weights: (…, groups)."""
        values: Floats = np.divide(weights, self.scales)
        np.rint(values, out=values)
        values += self.zero_points
        return np.clip(values, grid.bottom, grid.top, out=values)

    def expand(self, values: Floats) -> Floats:
        """Return the weights that such values stand for."""
        weights: Floats = values - self.zero_points
        weights *= self.scales
        return weights


Fit = Callable[[Floats, Grid], Fitted]
"""Function from weights (values, groups) to their scales and zero points."""


def to_scales(wanted: Floats) -> Floats:
    """Return the nearest float16 that is no closer to 0, so that no weight falls off the grid; 1
    where there is nothing but 0 to scale."""
    scales = np.clip(wanted, -MAX_SCALE, MAX_SCALE).astype(np.float16)
    short = np.abs(scales.astype(np.float32)) < np.minimum(np.abs(wanted), MAX_SCALE)
    # One step away from 0, whatever the sign: the next number's bits are one more.
    scales.view(np.uint16)[short] += 1
    scales[scales == 0] = 1
    return scales.astype(np.float32)


def middles(groups: int, grid: Grid) -> Floats:
    """Return the zero points of a symmetric grid."""
    return np.full(groups, grid.middle, np.float32)


def squared_errors(weights: Floats, fitted: Fitted, grid: Grid) -> Floats:
    """Return the squared errors of each group, summed over its values."""
    # Called for many grids: multiplying is several times as fast as dividing.
    steps: Floats = np.multiply(weights, 1 / fitted.scales)
    if not grid.symmetric:
        steps += fitted.zero_points
    values = np.rint(steps)
    low = -grid.half if grid.symmetric else 0
    np.clip(values, low, low + grid.top - grid.bottom, out=values)
    steps -= values
    errors: Floats = np.einsum("vg,vg->g", steps, steps)
    errors *= fitted.scales
    errors *= fitted.scales
    return errors


def better(one: Fitted, errors: Floats, other: Fitted, others: Floats) -> tuple[Fitted, Floats]:
    """Return, group by group, the one with the smaller error; the first where they are equal."""
    take = others < errors
    return (
        Fitted(
            np.where(take, other.scales, one.scales),
            np.where(take, other.zero_points, one.zero_points),
        ),
        np.where(take, others, errors),
    )
