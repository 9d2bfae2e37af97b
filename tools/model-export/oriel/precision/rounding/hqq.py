"""Half-quadratic quantization (Badri & Shaji 2023): the grid with the smallest sum of errors to the
power of P, which minds outliers less than squares do. Needs no calibration.

As there, a step sets apart what of the error is an outlier's (a shrinkage) and then fits the grid
to the rest. There only the zero point is fitted, as a real number; here zero points are whole
numbers of few bits, so that the scale is fitted as well.
"""

from __future__ import annotations

import numpy as np

from oriel.precision.rounding.grid import Fitted, Floats, Grid, better
from oriel.precision.rounding.mse import fit_mse, refitted
from oriel.precision.rounding.nearest import fit_nearest

POWER = 0.7
STEPS = 8
_WEIGHT, _GROWTH = 10.0, 1.1
"""Of the squared term against the other one, and its growth from step to step (β and κ there), for
weights in units of a step of the grid."""


def fit_hqq(weights: Floats, grid: Grid) -> Fitted:
    """Never worse than nearest and mse by its own measure: the best of all steps is taken."""
    best = fit_nearest(weights, grid)
    errors = power_errors(weights, best, grid)
    current = fit_mse(weights, grid)
    best, errors = better(best, errors, current, power_errors(weights, current, grid))
    weight = _WEIGHT
    for _ in range(STEPS):
        values = current.quantize(weights, grid)
        apart = _shrunk((weights - current.expand(values)) / current.scales, weight)
        rest = weights - apart * current.scales
        current = _moved(rest, values, current, grid)
        current = refitted(rest, current, grid)
        best, errors = better(best, errors, current, power_errors(weights, current, grid))
        weight *= _GROWTH
    return best


def power_errors(weights: Floats, fitted: Fitted, grid: Grid) -> Floats:
    """Of each group, |error|^P summed over its values."""
    errors = fitted.expand(fitted.quantize(weights, grid))
    errors -= weights
    np.abs(errors, out=errors)
    np.power(errors, np.float32(POWER), out=errors)
    sums: Floats = np.sum(errors, axis=0)
    return sums


def _shrunk(errors: Floats, weight: float) -> Floats:
    """The generalized soft threshold of the power P."""
    sizes = np.abs(errors)
    with np.errstate(divide="ignore"):
        sizes -= np.power(sizes, np.float32(POWER - 1)) / np.float32(weight)
    np.maximum(sizes, 0, out=sizes)
    return np.copysign(sizes, errors)


def _moved(rest: Floats, values: Floats, fitted: Fitted, grid: Grid) -> Fitted:
    """With the zero point that suits best the values that the weights have been given."""
    if grid.symmetric:
        return fitted
    zeros = np.rint(np.mean(values - rest / fitted.scales, axis=0))
    return Fitted(fitted.scales, np.clip(zeros, 0, grid.top))
