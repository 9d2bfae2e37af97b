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
from oriel.precision.rounding.nearest import between, fit_nearest, reaches

CUTS = (0.94, 0.88, 0.82, 0.76, 0.7)
"""Shares of the reach that are tried."""


def fit_mse(weights: Floats, grid: Grid) -> Fitted:
    """Never worse than nearest, which is tried first."""
    best = fit_nearest(weights, grid)
    errors = squared_errors(weights, best, grid)
    for other in _candidates(weights, grid):
        best, errors = better(best, errors, other, squared_errors(weights, other, grid))
    other = refitted(weights, best, grid)
    return better(best, errors, other, squared_errors(weights, other, grid))[0]


def _candidates(weights: Floats, grid: Grid) -> list[Fitted]:
    low, high = reaches(weights)
    if not grid.symmetric:
        return [between(low * np.float32(cut), high * np.float32(cut), grid) for cut in CUTS]
    # There is one value more below the middle than above it: the side that reaches further takes
    # it, by a negative scale where that is the upper one.
    extreme: Floats = np.where(high > -low, high, low)
    extreme /= np.float32(-grid.middle)
    zeros = middles(len(extreme), grid)
    return [Fitted(to_scales(extreme * np.float32(cut)), zeros) for cut in (1.07, 1.0, *CUTS)]


def refitted(weights: Floats, fitted: Fitted, grid: Grid) -> Fitted:
    """The scale that suits best the values that the weights have been given."""
    values = fitted.quantize(weights, grid)
    values -= fitted.zero_points
    norms = np.einsum("vg,vg->g", values, values)
    products = np.einsum("vg,vg->g", values, weights)
    scales = np.divide(products, norms, out=fitted.scales.copy(), where=norms > 0)
    return Fitted(to_scales(scales), fitted.zero_points)
