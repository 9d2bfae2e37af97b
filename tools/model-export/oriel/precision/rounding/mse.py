"""The grid with the smallest squared error among several: cutting a group's extremes short lets
all its other weights have finer steps."""

from __future__ import annotations

import numpy as np

from oriel.precision.rounding.grid import (
    Fitted,
    Floats,
    Grid,
    better,
    middles,
    squared_errors,
    to_scales,
)
from oriel.precision.rounding.nearest import between, fit_nearest, value_ranges

CUTS = {4: (0.92, 0.84, 0.76), 8: (0.9,)}
"""Shares of the reach that are tried, by bits: finer steps are worth less to a fine grid."""


def fit_mse(weights: Floats, grid: Grid) -> Fitted:
    """Never worse than nearest, which is tried first."""
    best = fit_nearest(weights, grid)
    errors = squared_errors(weights, best, grid)
    for other in _candidates(weights, grid):
        best, errors = better(best, errors, other, squared_errors(weights, other, grid))
    other = refitted(weights, best, grid)
    return better(best, errors, other, squared_errors(weights, other, grid))[0]


def _candidates(weights: Floats, grid: Grid) -> list[Fitted]:
    low, high = value_ranges(weights)
    if not grid.symmetric:
        cuts = [np.float32(cut) for cut in CUTS[grid.bits]]
        return [between(low * cut, high * cut, grid) for cut in cuts]
    # There is one value more below the middle than above it: the side that reaches further takes
    # it, by a negative scale where that is the upper one.
    extreme: Floats = np.where(high > -low, high, low)
    extreme /= np.float32(-grid.half)
    zeros = middles(len(extreme), grid)
    cuts = [np.float32(cut) for cut in (1.0, *CUTS[grid.bits])]
    return [Fitted(to_scales(extreme * cut), zeros) for cut in cuts]


def refitted(weights: Floats, fitted: Fitted, grid: Grid) -> Fitted:
    """The scale that suits best the values that the weights have been given."""
    values = fitted.quantize(weights, grid)
    values -= fitted.zero_points
    norms = np.einsum("vg,vg->g", values, values)
    products = np.einsum("vg,vg->g", values, weights)
    scales = np.divide(products, norms, out=fitted.scales.copy(), where=norms > 0)
    return Fitted(to_scales(scales), fitted.zero_points)
