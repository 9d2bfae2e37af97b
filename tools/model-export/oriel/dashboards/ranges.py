"""What is fixed for each unit before counting begins, from the first contexts of the corpus: the
threshold above which it fires, the range of its histogram, the centre of its moments. Fixed ranges
make partial results join exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from oriel.arrays import Array
from oriel.dashboards.units import UnitBlock

CALIBRATED_CONTEXTS = 16
"""Contexts, the first of the corpus, that ranges are taken from."""
FIRING_QUANTILE = 0.99
"""A unit fires above this quantile of its strength in those contexts, and never at 0; a feature
fires wherever it is above 0."""
_MARGIN = 0.25
"""Share of the range seen that the histogram has beyond it on each side."""


@dataclass(frozen=True)
class Ranges:
    """Fixed numbers of each unit, all (units), float32."""

    threshold: Array
    low: Array
    """Left edge of the histogram; its outermost bins also count whatever is beyond."""
    high: Array
    centre: Array


class Calibration:
    """Gathers values of the first contexts, and measures the ranges of all units on them."""

    def __init__(self, blocks: Sequence[UnitBlock]) -> None:
        self._blocks = blocks
        self._found: list[list[Array]] = [[] for _ in blocks]
        """Of each block, (tokens, units); of features a row for the largest values of a context and
        one for the sums."""
        self._tokens = 0

    def add(self, values: Sequence[Array]) -> None:
        """Add a context. values: of each block, (tokens, units)."""
        self._tokens += len(values[0])
        for block, kept, found in zip(self._blocks, self._found, values, strict=True):
            if block.above_zero:
                # A dictionary may have more features than a model has neurons: to keep all of their
                # values would take gigabytes.
                found = np.stack([found.max(axis=0), found.sum(axis=0, dtype=np.float64)])
            kept.append(found)

    def ranges(self) -> Ranges:
        units = self._blocks[-1].end
        made = Ranges(*(np.zeros(units, dtype=np.float32) for _ in range(4)))
        for block, kept in zip(self._blocks, self._found, strict=True):
            measure = self._of_features if block.above_zero else self._of_values
            for name, numbers in vars(measure(block, kept)).items():
                getattr(made, name)[block.span] = numbers
            kept.clear()
        return made

    def _of_values(self, block: UnitBlock, kept: Sequence[Array]) -> Ranges:
        found = np.concatenate(kept)
        strength = np.abs(found) if block.by_magnitude else found
        at = min(len(found) - 1, int(np.ceil(FIRING_QUANTILE * len(found))) - 1)
        quantile = np.partition(strength, at, axis=0)[at]
        low, high = found.min(axis=0), found.max(axis=0)
        # A unit that never changed gets a range of some width.
        margin = np.maximum((high - low) * np.float32(_MARGIN), np.float32(1e-6))
        centre = found.mean(axis=0, dtype=np.float64)
        return Ranges(np.maximum(quantile, 0), low - margin, high + margin, centre)

    def _of_features(self, block: UnitBlock, kept: Sequence[Array]) -> Ranges:
        rows = np.stack(kept)
        high, zeros = rows[:, 0].max(axis=0), np.zeros(rows.shape[2])
        # Most features are 0 at all of these tokens: they get the widest range of the others.
        high = np.maximum(np.where(high > 0, high, high.max()) * (1 + _MARGIN), 1e-6)
        return Ranges(zeros, zeros, high, rows[:, 1].sum(axis=0) / self._tokens)
