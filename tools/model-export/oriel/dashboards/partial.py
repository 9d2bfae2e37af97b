"""What is known of all units after some shards of a corpus, and how two such results are joined.

Results are joined in the order of the shards, so that sums of floating-point numbers are the same
whichever worker had which shard. Of passages of equal strength the one earlier in the corpus wins.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field, fields

import numpy as np

from oriel.arrays import Array
from oriel.errors import BundleError

PASSAGES = 16
"""Passages kept for each unit."""
BEFORE, AFTER = 16, 8
"""Tokens of a passage before its peak and after it."""
WINDOW = BEFORE + 1 + AFTER
BINS = 64
FIRINGS = 128
"""Firings kept for each unit: a uniform sample, the ones of the smallest hashes."""
NO_TOKEN = -1
NO_HASH = np.uint64(2**64 - 1)


@dataclass(frozen=True)
class Sizes:
    """How many numbers a result has."""

    units: int
    directions: int = 0
    """Of the vectors of all units that have one."""


@dataclass
class Totals:
    """Sums over tokens."""

    tokens: int
    """Tokens that the model read."""
    counted: int
    """Tokens whose values are counted: all but the first of each context."""
    sampled: int
    """Counted tokens of every sixteenth context, which histogram and moments are made of."""
    contexts: int
    largest: Array
    """(units), float32."""
    smallest: Array
    """(units), float32: of sampled tokens."""
    fired: Array
    """(units), int64: tokens at which the unit is above its threshold."""
    positive: Array
    """(units), int64: sampled tokens at which its value is above 0."""
    moments: Array
    """(4, units), float64: sums of the first four powers of the value less the unit's centre."""
    histogram: Array
    """(units, bins), int64."""
    directions: Array
    """(numbers of all vectors), float64: sums of a unit's vectors where it fires."""

    @staticmethod
    def empty(sizes: Sizes) -> Totals:
        units = sizes.units
        return Totals(
            0,
            0,
            0,
            0,
            np.full(units, -np.inf, dtype=np.float32),
            np.full(units, np.inf, dtype=np.float32),
            np.zeros(units, dtype=np.int64),
            np.zeros(units, dtype=np.int64),
            np.zeros((4, units)),
            np.zeros((units, BINS), dtype=np.int64),
            np.zeros(sizes.directions),
        )

    def join(self, later: Totals) -> None:
        """Add the totals of the shards that follow."""
        self.tokens += later.tokens
        self.counted += later.counted
        self.sampled += later.sampled
        self.contexts += later.contexts
        np.maximum(self.largest, later.largest, out=self.largest)
        np.minimum(self.smallest, later.smallest, out=self.smallest)
        self.fired += later.fired
        self.positive += later.positive
        self.moments += later.moments
        self.histogram += later.histogram
        self.directions += later.directions


@dataclass
class Passages:
    """The strongest passages of each unit, one from each stretch of a context; unordered while a
    shard is reduced."""

    strength: Array
    """(units, passages), float32: -inf for none."""
    shard: Array
    """(units, passages), int32."""
    context: Array
    """(units, passages), int32: number of the context in its shard."""
    position: Array
    """(units, passages), int32: of the peak, in its context."""
    tokens: Array
    """(units, passages, window), int32: NO_TOKEN beyond the context's ends."""
    values: Array
    """(units, passages, window), float32."""

    @staticmethod
    def empty(units: int) -> Passages:
        size = (units, PASSAGES)
        return Passages(
            np.full(size, -np.inf, dtype=np.float32),
            np.zeros(size, dtype=np.int32),
            np.zeros(size, dtype=np.int32),
            np.zeros(size, dtype=np.int32),
            np.full((*size, WINDOW), NO_TOKEN, dtype=np.int32),
            np.zeros((*size, WINDOW), dtype=np.float32),
        )

    def sort(self) -> None:
        """Order each unit's passages: the strongest first, of equal ones the earliest."""
        order = np.lexsort((self.position, self.context, self.shard, -self.strength), axis=-1)
        self._take(order)

    def join(self, later: Passages) -> None:
        """Keep the strongest of these and of later shards' passages. Both are sorted."""
        for each in fields(self):
            one, other = getattr(self, each.name), getattr(later, each.name)
            setattr(self, each.name, np.concatenate([one, other], axis=1))
        self._take(np.argsort(-self.strength, axis=1, kind="stable")[:, :PASSAGES])

    def _take(self, order: Array) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            at = order if value.ndim == 2 else order[:, :, None]
            setattr(self, each.name, np.take_along_axis(value, at, axis=1))


@dataclass
class Firings:
    """A uniform sample of the tokens at which each unit fires: those of the smallest hashes. Units
    draw by the same hashes, so that two samples tell how often two units fire together."""

    hashes: Array
    """(units, firings), uint64, ascending: NO_HASH for none."""
    tokens: Array
    """(units, firings), int32: id of the token."""

    @staticmethod
    def empty(units: int) -> Firings:
        size = (units, FIRINGS)
        return Firings(np.full(size, NO_HASH), np.full(size, NO_TOKEN, dtype=np.int32))

    def join(self, later: Firings) -> None:
        hashes = np.concatenate([self.hashes, later.hashes], axis=1)
        tokens = np.concatenate([self.tokens, later.tokens], axis=1)
        order = np.argsort(hashes, axis=1, kind="stable")[:, :FIRINGS]
        self.hashes = np.take_along_axis(hashes, order, axis=1)
        self.tokens = np.take_along_axis(tokens, order, axis=1)


@dataclass
class Partial:
    """The result of shards that follow one another."""

    first: int
    """Number of the first shard."""
    shards: int
    totals: Totals
    passages: Passages
    firings: Firings
    digests: Array = field(default_factory=lambda: np.zeros((0, 32), dtype=np.uint8))
    """(shards, 32), uint8: SHA-256 of each shard's token ids."""

    @staticmethod
    def empty(sizes: Sizes, first: int = 0) -> Partial:
        units = sizes.units
        return Partial(first, 0, Totals.empty(sizes), Passages.empty(units), Firings.empty(units))

    @property
    def digest(self) -> str:
        """SHA-256 over the shards' own, in the contract's notation."""
        return f"sha256:{hashlib.sha256(self.digests.tobytes()).hexdigest()}"

    def join(self, later: Partial) -> None:
        """Add the shards that follow these. Raises ValueError for any others, which would count
        some twice or leave some out."""
        if later.first != self.first + self.shards:
            raise ValueError(f"shard {later.first} doesn't follow {self.first + self.shards - 1}")
        self.shards += later.shards
        self.totals.join(later.totals)
        self.passages.join(later.passages)
        self.firings.join(later.firings)
        self.digests = np.concatenate([self.digests, later.digests])

    def to_bytes(self) -> bytes:
        """Return the result as an npz file."""
        out = io.BytesIO()
        arrays = {"place": np.array([self.first, self.shards]), "digests": self.digests}
        for part in ("totals", "passages", "firings"):
            for name, value in vars(getattr(self, part)).items():
                arrays[f"{part}.{name}"] = np.asarray(value)
        np.savez(out, allow_pickle=False, **arrays)
        return out.getvalue()

    @staticmethod
    def from_bytes(data: bytes, sizes: Sizes) -> Partial:
        """Read what `to_bytes` wrote. Raises BundleError for anything else."""
        made = Partial.empty(sizes)
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as stored:
                made.first, made.shards = (int(each) for each in stored["place"])
                made.digests = stored["digests"]
                for part in ("totals", "passages", "firings"):
                    _fill(getattr(made, part), part, stored)
        except Exception as error:
            # A damaged archive raises any class of several libraries.
            raise BundleError(
                "the state of an unfinished run is damaged",
                got=str(error)[:100],
                next_step="remove it to begin anew.",
            ) from error
        return made


def _fill(part: Totals | Passages | Firings, name: str, stored: np.lib.npyio.NpzFile) -> None:
    for key, value in vars(part).items():
        found = stored[f"{name}.{key}"]
        if isinstance(value, int):
            setattr(part, key, int(found))
            continue
        if found.shape != value.shape or found.dtype != value.dtype:
            raise ValueError(f"{name}.{key} is {found.dtype} of {found.shape}")
        setattr(part, key, found)
