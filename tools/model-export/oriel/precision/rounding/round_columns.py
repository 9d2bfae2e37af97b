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
    feedback = _Feedback(feedbacks, columns, grid) if feedbacks else None
    for index in range(blocks):
        start, stop = index * block, min((index + 1) * block, summed)
        wanted = columns[start:stop]
        if feedback is not None:
            wanted = wanted.copy()
            feedback.add(wanted, start, 0, start)
        fitted = fit(wanted, grid)
        values = rounded.values[start:stop]
        if feedback is None:
            values[:] = fitted.quantize(wanted, grid)
        else:
            feedback.round_group(wanted, start, fitted, values)
        rounded.scales[index] = fitted.scales
        rounded.zero_points[index] = fitted.zero_points
    return rounded


class _Feedback:
    """Rounding in which each value makes up for the errors of those above it."""

    def __init__(self, parts: Sequence[Feedback], columns: Floats, grid: Grid) -> None:
        self.parts, self.columns, self.grid = parts, columns, grid
        self.errors: Floats = np.empty_like(columns)

    def round_group(self, wanted: Floats, start: int, fitted: Fitted, values: Bytes) -> None:
        """Round a group of columns that begins at row `start`; fill in its values and errors.
        wanted: the group with what makes up for the errors above it, which is changed."""
        errors, group = self.errors, self.columns[start : start + len(wanted)]
        for first in range(0, len(group), _STEP):
            step = wanted[first : first + _STEP]
            self.add(step, start + first, start, start + first)
            part = next(p for p in self.parts if p.start <= start + first < p.stop)
            inside = start + first - part.start
            matrix = part.matrix[inside : inside + len(step), inside : inside + len(step)]
            for row in range(len(step)):
                at = start + first + row
                value = fitted.quantize(step[row], self.grid)
                values[first + row] = value
                np.subtract(group[first + row], fitted.expand(value), out=errors[at])
                turn = row - row % _TURN
                if row + 1 < min(turn + _TURN, len(step)):
                    rest = slice(row + 1, turn + _TURN)
                    step[rest] += matrix[row, rest, None] * errors[at]
                elif row + 1 < len(step):
                    made = slice(start + first + turn, at + 1)
                    add_product(step[row + 1 :], matrix[turn : row + 1, row + 1 :], errors[made])

    def add(self, rows: Floats, start: int, first: int, last: int) -> None:
        """Add to rows, which begin at `start`, what makes up for the errors of rows first …
        last - 1. Parts of the inputs know nothing of each other."""
        for part in self.parts:
            low, high = max(part.start, start), min(part.stop, start + len(rows))
            before, until = max(part.start, first), min(part.stop, last)
            if low < high and before < until:
                matrix = part.matrix[
                    before - part.start : until - part.start, low - part.start : high - part.start
                ]
                add_product(rows[low - start : high - start], matrix, self.errors[before:until])
