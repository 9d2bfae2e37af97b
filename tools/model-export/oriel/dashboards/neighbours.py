"""Units that fire together, estimated from the samples of their firings.

All units draw by the same hashes, so below the smaller of two units' last hashes both samples are
complete: the share of common tokens among all of either there estimates the Jaccard index of their
firings (bottom-k sketches: Cohen and Kaplan, 2007). With n tokens of either, which are at least as
many as a sample has where both are full, its standard error is at most 1 / (2 √n).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oriel.arrays import Array
from oriel.dashboards.partial import FIRINGS, NO_HASH, Firings

NEIGHBOURS = 10
STANDARD_ERROR = 0.5 / FIRINGS**0.5
"""Bound of the estimate's standard error."""
_FEWEST = 4
"""Common firings in the samples that a neighbour has at least."""
_BLOCK = 256
"""Units whose neighbours are looked for at a time, at most."""
_PAIRS = 1 << 24
"""Pairs of units that are compared at a time, at most: a dictionary may have a million features."""


@dataclass(frozen=True)
class Neighbours:
    """Neighbours of each unit, the closest first, of equal ones the lowest number."""

    unit: Array
    """(units, neighbours), int32: number among all units; -1 for none."""
    overlap: Array
    """(units, neighbours), float32: estimated Jaccard index."""


def find_neighbours(firings: Firings) -> Neighbours:
    """Return each unit's neighbours."""
    units = len(firings.hashes)
    found = Neighbours(
        np.full((units, NEIGHBOURS), -1, dtype=np.int32),
        np.zeros((units, NEIGHBOURS), dtype=np.float32),
    )
    sizes = (firings.hashes != NO_HASH).sum(axis=1)
    owner = np.repeat(np.arange(units), sizes)
    hashes = firings.hashes[firings.hashes != NO_HASH]
    order = np.argsort(hashes, kind="stable")
    hashes, owner = hashes[order], owner[order]
    size = max(1, min(_BLOCK, _PAIRS // units))
    for begin in range(0, units, size):
        block = np.arange(begin, min(units, begin + size))
        overlap = _overlaps(firings, block, hashes, owner)
        overlap[np.arange(len(block)), block] = 0
        count = min(NEIGHBOURS, units)
        order = np.argsort(-overlap, axis=1, kind="stable")[:, :count]
        values = np.take_along_axis(overlap, order, axis=1)
        found.unit[block, :count] = np.where(values > 0, order, -1)
        found.overlap[block, :count] = values
    return found


def _overlaps(firings: Firings, block: Array, hashes: Array, owner: Array) -> Array:
    """Return (block, units), float32: the estimates, 0 where there are too few common firings.

    hashes, owner: all sampled firings in the order of their hashes, and the unit of each.
    """
    units = len(firings.hashes)
    own = firings.hashes[block]
    rows = np.repeat(np.arange(len(block)), own.shape[1])[(own != NO_HASH).ravel()]
    drawn = own[own != NO_HASH]
    first = np.searchsorted(hashes, drawn, side="left")
    counts = np.searchsorted(hashes, drawn, side="right") - first
    # Every unit that has the token in its own sample, for each token of the block's units.
    at = (
        np.repeat(first, counts)
        + np.arange(counts.sum())
        - np.repeat(np.cumsum(counts) - counts, counts)
    )
    pairs = np.repeat(rows, counts) * units + owner[at]
    common = np.bincount(pairs, minlength=len(block) * units).reshape(len(block), units)
    of_block = np.stack([np.searchsorted(row, firings.hashes[:, -1], side="right") for row in own])
    # Of a unit that fires seldom the sample isn't full, and no hash is beyond its last one.
    of_block = np.minimum(of_block, (own != NO_HASH).sum(axis=1)[:, None])
    either = of_block + _up_to(own[:, -1], hashes, owner, units) - common
    enough = (common >= _FEWEST) & (either > 0)
    found: Array = np.where(enough, common / np.maximum(either, 1), 0).astype(np.float32)
    return found


def _up_to(limits: Array, hashes: Array, owner: Array, units: int) -> Array:
    """Return (limits, units): how many of each unit's sampled hashes are at most each limit."""
    found = np.zeros((len(limits), units), dtype=np.int64)
    counts, before = np.zeros(units, dtype=np.int64), 0
    for row in np.argsort(limits, kind="stable"):
        up_to = int(np.searchsorted(hashes, limits[row], side="right"))
        counts += np.bincount(owner[before:up_to], minlength=units)
        found[row], before = counts, up_to
    return found
