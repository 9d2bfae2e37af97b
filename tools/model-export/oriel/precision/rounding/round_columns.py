"""Columns of a matrix to values of a grid, group after group; with feedback, each value makes up
for the errors of those above it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from oriel.precision.rounding.gptq import Feedback
from oriel.precision.rounding.grid import Bytes, Fit, Fitted, Floats, Grid
from oriel.precision.rounding.small_products import add_product

_STEP, _TURN = 32, 8
"""Values whose errors are added to what follows the step, or the turn, in one product."""


@dataclass(frozen=True)
class Rounded:
    """Columns as they are written, but for their order."""

    values: Bytes
    """(summed, channels)."""
    scales: NDArray[np.float16]
    """(blocks, channels)."""
    zero_points: Bytes
    """(blocks, channels)."""


def round_columns(
    columns: Floats, block: int, grid: Grid, fit: Fit, feedbacks: Sequence[Feedback] = ()
) -> Rounded:
    """columns: (summed, channels); block: how many values of a column share a scale."""
    summed, channels = columns.shape
    blocks = -(-summed // block)
    rounded = Rounded(
        np.empty((summed, channels), np.uint8),
        np.empty((blocks, channels), np.float16),
        np.empty((blocks, channels), np.uint8),
    )
    errors = np.empty_like(columns) if feedbacks else None
    for index in range(blocks):
        start, stop = index * block, min((index + 1) * block, summed)
        wanted = columns[start:stop]
        if errors is not None:
            wanted = wanted.copy()
            _add_feedback(wanted, start, errors, 0, start, feedbacks)
        fitted = fit(wanted, grid)
        if errors is None:
            rounded.values[start:stop] = fitted.quantize(wanted, grid)
        else:
            group = columns[start:stop]
            _round_sequentially(
                wanted, group, start, fitted, grid, feedbacks, errors, rounded.values
            )
        rounded.scales[index] = fitted.scales
        rounded.zero_points[index] = fitted.zero_points
    return rounded


def _round_sequentially(
    wanted: Floats,
    group: Floats,
    start: int,
    fitted: Fitted,
    grid: Grid,
    feedbacks: Sequence[Feedback],
    errors: Floats,
    values: Bytes,
) -> None:
    """A group of columns that begins at row `start`; fills in its values and errors."""
    for first in range(0, len(group), _STEP):
        step = wanted[first : first + _STEP]
        _add_feedback(step, start + first, errors, start, start + first, feedbacks)
        part = next(p for p in feedbacks if p.start <= start + first < p.stop)
        inside = start + first - part.start
        matrix = part.matrix[inside : inside + len(step), inside : inside + len(step)]
        for row in range(len(step)):
            at = start + first + row
            value = fitted.quantize(step[row], grid)
            values[at] = value
            np.subtract(group[first + row], fitted.expand(value), out=errors[at])
            turn = row - row % _TURN
            if row + 1 < min(turn + _TURN, len(step)):
                rest = slice(row + 1, turn + _TURN)
                step[rest] += matrix[row, rest, None] * errors[at]
            elif row + 1 < len(step):
                made = slice(start + first + turn, at + 1)
                add_product(step[row + 1 :], matrix[turn : row + 1, row + 1 :], errors[made])


def _add_feedback(
    rows: Floats,
    start: int,
    errors: Floats,
    first: int,
    last: int,
    feedbacks: Sequence[Feedback],
) -> None:
    """Add to rows, which begin at `start`, what makes up for the errors of rows first … last - 1.

    Parts of the inputs know nothing of each other.
    """
    for part in feedbacks:
        low, high = max(part.start, start), min(part.stop, start + len(rows))
        before = max(part.start, first)
        until = min(part.stop, last)
        if low < high and before < until:
            matrix = part.matrix[
                before - part.start : until - part.start, low - part.start : high - part.start
            ]
            add_product(rows[low - start : high - start], matrix, errors[before:until])
