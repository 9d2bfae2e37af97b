"""Timings and the figures made of them: medians over rounds, their spread, ratios round by round.
native_speed.py and browser/ take the times."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Timings:
    """Times of one opened model in milliseconds; browser/jobs.ts describes each."""

    expand: float | None
    session: float
    all: tuple[float, ...]
    last: tuple[float, ...] | None
    last_first: bool
    """True if the session's first run was the first of `last`, and not of `all`."""
    step: tuple[float, ...]
    recompute: tuple[float, ...]

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Timings:
        last = data["last"]
        return Timings(
            data["expand"],
            data["session"],
            tuple(data["all"]),
            None if last is None else tuple(last),
            data["lastFirst"],
            tuple(data["step"]),
            tuple(data["recompute"]),
        )

    @property
    def first_all(self) -> float | None:
        """The session's first run, where it gave all logits."""
        return None if self.last_first else self.all[0]

    @property
    def first_last(self) -> float | None:
        """The session's first run, where it gave the last position's logits alone."""
        return self.last[0] if self.last is not None and self.last_first else None

    @property
    def opened_all(self) -> float | None:
        """From bytes in memory to the first prompt's logits, all of them."""
        return None if self.first_all is None else self._opened + self.first_all

    @property
    def opened_last(self) -> float | None:
        """From bytes in memory to the first prompt's last logits."""
        return None if self.first_last is None else self._opened + self.first_last

    @property
    def _opened(self) -> float:
        return (self.expand or 0.0) + self.session

    @property
    def next_all(self) -> float | None:
        """Median of the runs after the first one, as many as any library gets in each way."""
        half = len(self.all) if self.last is not None else len(self.all) // 2
        return None if self.last_first else statistics.median(self.all[1:half])

    @property
    def next_last(self) -> float | None:
        if self.last is None or not self.last_first:
            return None
        return statistics.median(self.last[1:])

    @property
    def settled_all(self) -> float | None:
        """Median of the runs after as many others, from which the compiler has learned."""
        if self.last is None:
            return statistics.median(self.all[len(self.all) // 2 :])
        return statistics.median(self.all) if self.last_first else None

    @property
    def settled_last(self) -> float | None:
        if self.last is None or self.last_first:
            return None
        return statistics.median(self.last)

    @property
    def settled_step(self) -> float:
        return statistics.median(self.step[len(self.step) // 2 :])

    @property
    def settled_recompute(self) -> float:
        return statistics.median(self.recompute[len(self.recompute) // 2 :])


Figure = Callable[[Timings], float | None]
Rounds = Sequence[Timings]


@dataclass(frozen=True)
class Spread:
    """Median and range of a figure over rounds."""

    median: float
    low: float
    high: float

    @staticmethod
    def of(values: Sequence[float]) -> Spread:
        return Spread(statistics.median(values), min(values), max(values))


def over_rounds(rounds: Rounds, figure: Figure) -> Spread | None:
    """Return a figure's spread; None where no round has the figure."""
    values = [value for timings in rounds if (value := figure(timings)) is not None]
    return Spread.of(values) if values else None


def ratios(ours: Rounds, our_figure: Figure, theirs: Rounds, their_figure: Figure) -> Spread | None:
    """Return ours over theirs, round by round, since machines are noisy. Where a figure exists only
    in every other round, each round of it is compared with the other's median."""
    values = [value for timings in ours if (value := our_figure(timings)) is not None]
    others = [value for timings in theirs if (value := their_figure(timings)) is not None]
    if not values or not others:
        return None
    if len(values) == len(others):
        return Spread.of([a / b for a, b in zip(values, others, strict=True)])
    middle = statistics.median(others)
    return Spread.of([value / middle for value in values])
