"""The values that quantized weights can stand for: (q - zero point) * scale."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Halves = NDArray[np.float16]


@dataclass(frozen=True)
class Grid:
    """0 … 2^bits - 1, around the middle or around a zero point for each group."""

    bits: int
    symmetric: bool

    @property
    def top(self) -> int:
        return (1 << self.bits) - 1

    @property
    def middle(self) -> int:
        return 1 << (self.bits - 1)


@dataclass(frozen=True)
class Fitted:
    """A scale and a zero point for each group."""

    scales: Halves
    """(groups); neither 0 nor infinite."""
    zero_points: Bytes
    """(groups)."""


def quantize(groups: Floats, fitted: Fitted, grid: Grid) -> Bytes:
    """The nearest value of the grid; (groups, values)."""
    steps = groups / fitted.scales.astype(np.float32)[:, None]
    np.rint(steps, out=steps)
    steps += fitted.zero_points.astype(np.float32)[:, None]
    np.clip(steps, 0, grid.top, out=steps)
    return steps.astype(np.uint8)


def expand(values: Bytes, fitted: Fitted) -> Floats:
    """What the values stand for: one multiplication in float32; (groups, values)."""
    steps = values.astype(np.float32)
    steps -= fitted.zero_points.astype(np.float32)[:, None]
    steps *= fitted.scales.astype(np.float32)[:, None]
    return steps


def to_float16_scales(wanted: Floats) -> Halves:
    """To nearest, but away from 0; 1 where nothing but 0 is to be scaled."""
    scales = wanted.astype(np.float16)
    smallest = np.float16(np.finfo(np.float16).smallest_subnormal)
    lost = (scales == 0) & (wanted != 0)
    scales = np.where(lost, np.where(wanted < 0, -smallest, smallest), scales)
    return np.where(scales == 0, np.float16(1), scales)
