"""Half-quadratic quantization (Badri & Shaji 2023): the grid with the smallest sum of errors to the
power of P, to which outliers matter less than to squares. Needs no calibration.

As in the original, a step separates the part of the error that is due to outliers (a shrinkage) and
then fits the grid to the rest. The original fits only the zero point, as a real number; here zero
points are whole numbers of few bits, so that the scale is fitted as well.

It is our own code for that reason, and because the original needs torch and a model's own modules;
`oriel quantize` has an ONNX bundle and NumPy.
"""

from __future__ import annotations

import numpy as np

from oriel.precision.rounding.grid import Fitted, Floats, Grid, better
from oriel.precision.rounding.mse import fit_mse, refitted
from oriel.precision.rounding.nearest import fit_nearest

POWER = 0.7
STEPS = 8
_WEIGHT, _GROWTH = 10.0, 1.1
"""Weight of the squared term against the other one, and its growth from step to step (β and κ in
the original), for weights in units of a step of the grid."""


def fit_hqq(weights: Floats, grid: Grid) -> Fitted:
    """Return the best grid of all steps, by this measure never worse than those of nearest and
    mse."""
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
    """Return |error|^P of each group, summed over its values."""
    errors = fitted.expand(fitted.quantize(weights, grid))
    errors -= weights
    np.abs(errors, out=errors)
    np.power(errors, np.float32(POWER), out=errors)
    sums: Floats = np.sum(errors, axis=0)
    return sums


def _shrunk(errors: Floats, weight: float) -> Floats:
    """Return the errors after the generalized soft threshold of the power P."""
    sizes = np.abs(errors)
    with np.errstate(divide="ignore"):
        sizes -= np.power(sizes, np.float32(POWER - 1)) / np.float32(weight)
    np.maximum(sizes, 0, out=sizes)
    return np.copysign(sizes, errors)


def _moved(rest: Floats, values: Floats, fitted: Fitted, grid: Grid) -> Fitted:
    """Return the grid with the zero point that best suits the values that the weights were
    given."""
    if grid.symmetric:
        return fitted
    zeros = np.rint(np.mean(values - rest / fitted.scales, axis=0))
    return Fitted(fitted.scales, np.clip(zeros, 0, grid.top))
