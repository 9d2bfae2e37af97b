"""Reduces the values of units at the tokens of one shard, context by context, to a `Partial`. The
same code runs in the plain loop and in each worker of Ray."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from oriel.arrays import Array
from oriel.dashboards.partial import (
    AFTER,
    BEFORE,
    BINS,
    FIRINGS,
    NO_HASH,
    NO_TOKEN,
    Firings,
    Partial,
    Sizes,
)
from oriel.dashboards.ranges import Ranges
from oriel.dashboards.units import BlockValues, UnitBlock
from oriel.errors import GraphError

FIRST_COUNTED = 1
"""The first token of a context sees nothing, and many models put their largest values there."""
SAMPLED = 16
"""Smallest value, histogram and moments are counted on every sixteenth context: they take three
times as long as the rest, and a share of the tokens gives them as well."""
STRETCH = 255
"""Tokens counted at a time, whose values fit into a processor's cache."""
_WINDOW = np.arange(-BEFORE, AFTER + 1)
"""Places of a passage's tokens beside its peak."""
_BUFFERED = 1 << 18
"""Firings that are gathered before they are merged into the sample."""


@dataclass(frozen=True)
class Context:
    """A row of tokens as the model reads it."""

    number: int
    """Its place in the shard."""
    ids: Array
    """(seq), int64."""


@dataclass(frozen=True)
class Bounds:
    """What can't be among the strongest passages or the sampled firings any more."""

    floor: Array
    """(units), float32: the weakest passage kept."""
    last_hash: Array
    """(units), uint64: the largest hash kept."""

    @staticmethod
    def none(units: int) -> Bounds:
        return Bounds(np.full(units, -np.inf, dtype=np.float32), np.full(units, NO_HASH))

    @staticmethod
    def of(found: Partial) -> Bounds:
        """Return the bounds of a finished result for all later shards."""
        return Bounds(found.passages.strength[:, -1].copy(), found.firings.hashes[:, -1].copy())

    def above_zero(self, blocks: Sequence[UnitBlock]) -> Bounds:
        """Return the bounds with which a feature has no passage where it doesn't fire."""
        floor = self.floor.copy()
        for block in blocks:
            if block.above_zero:
                np.maximum(floor[block.span], 0, out=floor[block.span])
        return Bounds(floor, self.last_hash)


@dataclass(frozen=True)
class _Stretch:
    """Tokens of a context that are counted at a time."""

    context: Context
    start: int
    """Position of the first."""
    whole: Sequence[BlockValues]
    """Of each block, (seq, units): values of the whole context."""
    strengths: Sequence[Array]
    """Of each block, (tokens, units): by which passages are ranked."""
    peaks: Array
    """(all units): the largest strength of each."""


class Reducer:
    """Reduces one shard."""

    def __init__(
        self, shard: int, blocks: Sequence[UnitBlock], ranges: Ranges, bounds: Bounds | None = None
    ) -> None:
        """bounds: of shards before this one; what they exclude is left out, since it can't be among
        what is kept of all shards."""
        units = blocks[-1].end
        self.shard, self.blocks, self.ranges = shard, blocks, ranges
        self.made = Partial.empty(Sizes(units, blocks[-1].directions.stop), shard)
        self._digest = hashlib.sha256()
        self._bounds = (bounds or Bounds.none(units)).above_zero(blocks)
        self._floor = self._bounds.floor.copy()
        """Weaker passages, and equal ones, can't come into a unit's."""
        self._last_hash = self._bounds.last_hash.copy()
        """Hashes from this on can't come into a unit's sample."""
        self._events: list[tuple[Array, Array, Array]] = []
        self._buffered = 0
        self._bin_width = BINS / (ranges.high - ranges.low)

    def add(self, context: Context, values: Sequence[BlockValues]) -> None:
        """Count a context. values: of each block, (seq, units)."""
        totals, seq = self.made.totals, len(context.ids)
        sampled = context.number % SAMPLED == 0
        self._digest.update(context.ids.astype("<i8").tobytes())
        totals.contexts += 1
        totals.tokens += seq
        totals.counted += seq - FIRST_COUNTED
        totals.sampled += seq - FIRST_COUNTED if sampled else 0
        for start in range(FIRST_COUNTED, seq, STRETCH):
            hashes = token_hashes(self.shard, context.number, start, min(seq, start + STRETCH))
            peaks = np.empty(self.blocks[-1].end, dtype=np.float32)
            strengths = []
            # All that reads a block's values is done while they are in the processor's cache.
            for block, found in zip(self.blocks, values, strict=True):
                part = found.values[start : start + STRETCH]
                strength = np.abs(part) if block.by_magnitude else part
                strength.max(axis=0, out=peaks[block.span])
                strengths.append(strength)
                fires = strength > self.ranges.threshold[block.span]
                self._keep_firings(block.span, fires, hashes, context.ids[start:])
                if found.vectors is not None:
                    self._add_directions(block, fires, found.vectors[start : start + STRETCH])
                self._count(block, part, peaks[block.span])
                if sampled:
                    self._count_sampled(block.span, part)
            self._keep_passages(_Stretch(context, start, values, strengths, peaks))
            if self._buffered > _BUFFERED:
                self._merge_firings()

    def finish(self) -> Partial:
        """Return the shard's result; nothing can be added after it."""
        self._merge_firings()
        self.made.passages.sort()
        self.made.shards = 1
        self.made.digests = np.frombuffer(self._digest.digest(), dtype=np.uint8)[None]
        return self.made

    def _count(self, block: UnitBlock, part: Array, peaks: Array) -> None:
        if not np.isfinite(peaks).all():
            raise GraphError(
                "the model gives numbers that aren't finite",
                got=f"shard {self.shard}",
                next_step="run `oriel verify` on the bundle.",
            )
        largest = part.max(axis=0) if block.by_magnitude else peaks
        whole = self.made.totals.largest[block.span]
        np.maximum(whole, largest, out=whole)

    def _count_sampled(self, span: slice, part: Array) -> None:
        totals, ranges = self.made.totals, self.ranges
        np.minimum(totals.smallest[span], part.min(axis=0), out=totals.smallest[span])
        centred = part - ranges.centre[span]
        squares = centred * centred
        totals.moments[0, span] += centred.sum(axis=0)
        totals.moments[1, span] += squares.sum(axis=0)
        totals.moments[2, span] += np.einsum("tu,tu->u", squares, centred)
        totals.moments[3, span] += np.einsum("tu,tu->u", squares, squares)
        totals.positive[span] += np.count_nonzero(part > 0, axis=0)
        bins = (part - ranges.low[span]) * self._bin_width[span]
        np.clip(bins, 0, BINS - 1, out=bins)
        places = bins.astype(np.intp)
        places += np.arange(part.shape[1], dtype=np.intp) * BINS
        counted = np.bincount(places.ravel(), minlength=part.shape[1] * BINS)
        totals.histogram[span] += counted.reshape(-1, BINS)

    def _keep_passages(self, stretch: _Stretch) -> None:
        """Put the strongest token of each unit into its passages, in the place of the weakest. An
        equal one stays out: it is later in the corpus."""
        # Few units have a new passage in later shards, so that all blocks' are kept at once.
        units = np.flatnonzero(stretch.peaks > self._floor)
        if not len(units):
            return
        kept, ids = self.made.passages, stretch.context.ids
        slots = self._weakest(units)
        positions, windows = self._windows(stretch, units)
        places = positions[:, None] + _WINDOW
        inside = (places >= 0) & (places < len(ids))
        kept.strength[units, slots] = stretch.peaks[units]
        kept.shard[units, slots] = self.shard
        kept.context[units, slots] = stretch.context.number
        kept.position[units, slots] = positions
        kept.tokens[units, slots] = np.where(inside, ids[_within(places, ids)], NO_TOKEN)
        kept.values[units, slots] = np.where(inside, windows, 0)
        weakest = kept.strength[units].min(axis=1)
        self._floor[units] = np.maximum(self._bounds.floor[units], weakest)

    def _windows(self, stretch: _Stretch, units: Array) -> tuple[Array, Array]:
        """Return the position of the strongest token of each unit (units), ascending, and the
        values around it (units, window); beyond the context's ends they mean nothing."""
        positions, windows = np.empty(len(units), dtype=np.int64), []
        ends = np.searchsorted(units, [block.end for block in self.blocks])
        begin = 0
        for at, end in enumerate(ends):
            if begin == end:
                continue
            chosen = units[begin:end] - self.blocks[at].span.start
            peaks = stretch.strengths[at][:, chosen].argmax(axis=0) + stretch.start
            positions[begin:end] = peaks
            places = _within(peaks[:, None] + _WINDOW, stretch.context.ids)
            windows.append(stretch.whole[at].values[places, chosen[:, None]])
            begin = end
        return positions, np.concatenate(windows)

    def _weakest(self, units: Array) -> Array:
        """Return the slot of each unit's weakest passage, of equal ones the latest."""
        strength = self.made.passages.strength[units]
        weakest = strength == strength.min(axis=1, keepdims=True)
        kept = self.made.passages
        age = kept.context[units].astype(np.int64) << 32 | kept.position[units]
        slots: Array = np.where(weakest, age, -1).argmax(axis=1)
        return slots

    def _add_directions(self, block: UnitBlock, fires: Array, vectors: Array) -> None:
        """Add the vectors of a block's units at the tokens where they fire."""
        units, at = np.nonzero(fires.T)
        if not len(units):
            return
        touched, begins = np.unique(units, return_index=True)
        sums = np.add.reduceat(vectors[at, units], begins, axis=0, dtype=np.float64)
        self.made.totals.directions[block.directions].reshape(-1, block.width)[touched] += sums

    def _keep_firings(self, span: slice, fires: Array, hashes: Array, ids: Array) -> None:
        """Count the firings of a block's units, (tokens, units), and gather those that can come
        into a sample. hashes, ids: of the tokens."""
        # No stretch has more tokens than a byte counts, and bytes are added the fastest.
        self.made.totals.fired[span] += np.add.reduce(fires.view(np.uint8), dtype=np.uint8)
        last = self._last_hash[span]
        rows = np.flatnonzero(hashes < last.max())
        at, columns = np.divmod(np.flatnonzero(fires[rows]), fires.shape[1])
        at = rows[at]
        near = np.flatnonzero(hashes[at] < last[columns])
        at = at[near]
        self._events.append((columns[near] + span.start, hashes[at], ids[at]))
        self._buffered += len(at)

    def _merge_firings(self) -> None:
        """Merge the gathered firings into each unit's sample."""
        if not self._buffered:
            return
        units, hashes, ids = (np.concatenate(part) for part in zip(*self._events, strict=True))
        self._events, self._buffered = [], 0
        order = np.lexsort((hashes, units))
        units, hashes, ids = units[order], hashes[order], ids[order]
        # The place of each among its unit's, of which the first so many can be kept.
        touched, begins, counts = np.unique(units, return_index=True, return_counts=True)
        rank = np.arange(len(units)) - np.repeat(begins, counts)
        kept = np.flatnonzero(rank < FIRINGS)
        rows = np.repeat(np.arange(len(touched)), counts)[kept]
        new = Firings.empty(len(touched))
        new.hashes[rows, rank[kept]] = hashes[kept]
        new.tokens[rows, rank[kept]] = ids[kept]
        sample = self.made.firings
        old = Firings(sample.hashes[touched], sample.tokens[touched])
        old.join(new)
        sample.hashes[touched], sample.tokens[touched] = old.hashes, old.tokens
        last = np.minimum(self._bounds.last_hash[touched], old.hashes[:, -1])
        self._last_hash[touched] = last


def _within(places: Array, ids: Array) -> Array:
    """Return places in a context, with those beyond its ends moved to the ends."""
    moved: Array = np.clip(places, 0, len(ids) - 1)
    return moved


def token_hashes(shard: int, context: int, start: int, stop: int) -> Array:
    """Return (stop - start), uint64: numbers that look random, different for any two tokens of a
    corpus, since each step can be undone (the finalizer of SplitMix64)."""
    place = np.uint64(shard) << np.uint64(40) | np.uint64(context) << np.uint64(16)
    found = place | np.arange(start, stop, dtype=np.uint64)
    found = found + np.uint64(0x9E3779B97F4A7C15)
    found = (found ^ (found >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    found = (found ^ (found >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    hashed: Array = found ^ (found >> np.uint64(31))
    return hashed
