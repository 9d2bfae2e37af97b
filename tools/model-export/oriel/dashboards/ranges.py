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
"""A unit fires above this quantile of its strength in those contexts, and never at 0."""
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


def measure_ranges(blocks: Sequence[UnitBlock], values: Sequence[Array]) -> Ranges:
    """Return the ranges of all units. values: those of each block, (tokens, units)."""
    units = blocks[-1].end
    made = Ranges(*(np.zeros(units, dtype=np.float32) for _ in range(4)))
    for block, found in zip(blocks, values, strict=True):
        strength = np.abs(found) if block.by_magnitude else found
        at = min(len(found) - 1, int(np.ceil(FIRING_QUANTILE * len(found))) - 1)
        quantile = np.partition(strength, at, axis=0)[at]
        made.threshold[block.span] = np.maximum(quantile, 0)
        low, high = found.min(axis=0), found.max(axis=0)
        # A unit that never changed gets a range of some width.
        margin = np.maximum((high - low) * np.float32(_MARGIN), np.float32(1e-6))
        made.low[block.span] = low - margin
        made.high[block.span] = high + margin
        made.centre[block.span] = found.mean(axis=0, dtype=np.float64)
    return made
