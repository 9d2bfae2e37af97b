"""Rounding to nearest on a grid that reaches a group's extremes: no weight moves by more than half
a step."""

from __future__ import annotations

import numpy as np

from oriel.precision.rounding.grid import Fitted, Floats, Grid, middles, to_scales


def fit_nearest(weights: Floats, grid: Grid) -> Fitted:
    if grid.symmetric:
        largest = np.abs(weights).max(axis=0)
        scales = to_scales(largest / np.float32(grid.half - 1))
        return Fitted(scales, middles(len(scales), grid))
    low, high = value_ranges(weights)
    return between(low, high, grid)


def value_ranges(weights: Floats) -> tuple[Floats, Floats]:
    """Return the lowest and the highest value of each group, 0 included."""
    return np.minimum(weights.min(axis=0), 0), np.maximum(weights.max(axis=0), 0)


def between(low: Floats, high: Floats, grid: Grid) -> Fitted:
    """Return the grid from low to high, moved so that 0 is one of its points."""
    scales = to_scales((high - low) / np.float32(grid.top))
    return Fitted(scales, np.clip(np.rint(-low / scales), 0, grid.top))
