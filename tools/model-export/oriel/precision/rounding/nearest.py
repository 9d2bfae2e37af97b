"""Rounding to nearest: a group's extremes take the ends of the grid."""

from __future__ import annotations

import numpy as np

from oriel.precision.rounding.grid import Fitted, Floats, Grid, to_float16_scales


def fit_nearest(groups: Floats, grid: Grid) -> Fitted:
    """groups: (groups, values)."""
    if grid.symmetric:
        extreme = np.abs(groups).max(axis=1)
        scales = to_float16_scales(extreme / np.float32(grid.middle - 1))
        middles = np.full(len(groups), grid.middle, np.uint8)
        return Fitted(scales, middles)
    low = np.minimum(groups.min(axis=1), 0)
    high = np.maximum(groups.max(axis=1), 0)
    scales = to_float16_scales((high - low) / np.float32(grid.top))
    zero_points = np.clip(np.rint(-low / scales.astype(np.float32)), 0, grid.top)
    return Fitted(scales, zero_points.astype(np.uint8))
