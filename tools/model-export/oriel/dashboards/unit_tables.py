"""The rows of a layer's dashboards as a table of Arrow: one unit a row, the scores among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from oriel.arrays import Array
from oriel.dashboards.logit_tokens import LogitTokens
from oriel.dashboards.neighbours import Neighbours
from oriel.dashboards.packages import pyarrow_module
from oriel.dashboards.partial import BEFORE, NO_TOKEN, Partial
from oriel.dashboards.ranges import Ranges
from oriel.dashboards.units import UnitGroup

if TYPE_CHECKING:
    import pyarrow

LISTED_FIRINGS = 10
"""Tokens listed that a unit fires at most often."""


@dataclass(frozen=True)
class Counted:
    """Everything that is known of all units."""

    groups: Sequence[UnitGroup]
    ranges: Ranges
    state: Partial
    neighbours: Neighbours


def unit_table(counted: Counted, group: UnitGroup, tokens: LogitTokens | None) -> pyarrow.Table:
    """Return a group's table; docs/dashboards.md says what each column is."""
    arrow = pyarrow_module()
    columns = {"unit": np.arange(group.count, dtype=np.int32)}
    columns |= _scores(counted, group.span)
    made = {name: arrow.array(column) for name, column in columns.items()}
    histogram = counted.state.totals.histogram[group.span]
    made["histogram"] = _lists(histogram, np.full(group.count, histogram.shape[1]))
    made |= _firing_columns(counted, group.span)
    made |= _logit_columns(tokens, group.count)
    made |= _neighbour_columns(counted, group.span)
    made |= _passage_columns(counted.state, group.span)
    return arrow.table(made)


def _scores(counted: Counted, span: slice) -> dict[str, Array]:
    """Return {name: (units)} of the figures that each unit has one of."""
    totals, ranges = counted.state.totals, counted.ranges
    first, second, third, fourth = totals.moments[:, span] / max(1, totals.sampled)
    mean = ranges.centre[span] + first
    # Central moments, from those around the unit's fixed centre.
    variance = np.maximum(second - first**2, 0)
    central = fourth - 4 * first * third + 6 * first**2 * second - 3 * first**4
    kurtosis = np.divide(central, variance**2, out=np.zeros_like(mean), where=variance > 0)
    return {
        "mean": mean.astype(np.float32),
        "deviation": np.sqrt(variance).astype(np.float32),
        "kurtosis": kurtosis.astype(np.float32),
        "largest": totals.largest[span],
        "smallest": totals.smallest[span],
        "threshold": ranges.threshold[span],
        "firing": (totals.fired[span] / totals.counted).astype(np.float32),
        "positive": (totals.positive[span] / max(1, totals.sampled)).astype(np.float32),
        "histogram_low": ranges.low[span],
        "histogram_high": ranges.high[span],
    }


def _firing_columns(counted: Counted, span: slice) -> dict[str, pyarrow.Array]:
    """Return the tokens that each unit fires at, the most frequent of its sample first, and the
    entropy of all token ids in the sample, in nats; 0 where it never fires."""
    entropy: list[float] = []
    ids, shares, lengths = [], [], []
    for row in counted.state.firings.tokens[span]:
        known, counts = np.unique(row[row != NO_TOKEN], return_counts=True)
        of_all = counts / max(1, counts.sum())
        order = np.argsort(-counts, kind="stable")[:LISTED_FIRINGS]
        entropy.append(0.0 - float((of_all * np.log(of_all)).sum()))
        ids.append(known[order])
        shares.append(of_all[order])
        lengths.append(len(order))
    return {
        "token_entropy": pyarrow_module().array(np.array(entropy, dtype=np.float32)),
        "firing_tokens": _list_array(np.concatenate(ids), lengths),
        "firing_shares": _list_array(np.concatenate(shares).astype(np.float32), lengths),
    }


def _logit_columns(tokens: LogitTokens | None, units: int) -> dict[str, pyarrow.Array]:
    """Return the tokens that each unit promotes and suppresses; empty lists where it has none, as a
    head that never fired."""
    none = LogitTokens(
        *(np.zeros((units, 0), dtype) for dtype in (np.int32, np.float32, np.int32, np.float32))
    )
    found = vars(tokens or none)
    writes = np.any(found["promoted_by"], axis=1) | np.any(found["suppressed_by"], axis=1)
    return {name: _lists(rows, writes * rows.shape[1]) for name, rows in found.items()}


def _neighbour_columns(counted: Counted, span: slice) -> dict[str, pyarrow.Array]:
    units, overlap = counted.neighbours.unit[span], counted.neighbours.overlap[span]
    firsts = np.array([group.first for group in counted.groups])
    groups = np.searchsorted(firsts, units, side="right") - 1
    within = units - firsts[np.maximum(groups, 0)]
    lengths = (units >= 0).sum(axis=1)
    return {
        "neighbour_groups": _lists(groups.astype(np.int32), lengths),
        "neighbour_units": _lists(within.astype(np.int32), lengths),
        "neighbour_overlaps": _lists(overlap, lengths),
    }


def _passage_columns(state: Partial, span: slice) -> dict[str, pyarrow.Array]:
    """Return passages in lists, the strongest first, without what is beyond a context's ends."""
    kept = state.passages
    there = np.isfinite(kept.strength[span])
    lengths = there.sum(axis=1)
    tokens, values = kept.tokens[span], kept.values[span]
    inside = (tokens != NO_TOKEN) & there[..., None]
    peaks = inside[..., :BEFORE].sum(axis=-1)
    made = {
        "passage_shards": _lists(kept.shard[span], lengths),
        "passage_contexts": _lists(kept.context[span], lengths),
        "passage_positions": _lists(kept.position[span], lengths),
        "passage_peaks": _lists(peaks.astype(np.int32), lengths),
    }
    sizes = inside.sum(axis=-1)[there]
    for name, column in (("passage_tokens", tokens), ("passage_values", values)):
        made[name] = _list_array(_list_array(column[inside], sizes), lengths)
    return made


def _lists(rows: Array, lengths: Array) -> pyarrow.Array:
    """Return lists of the first items of (units, most), so many of each row."""
    return _list_array(rows[np.arange(rows.shape[1]) < lengths[:, None]], lengths)


def _list_array(values: Array | pyarrow.Array, lengths: Sequence[int] | Array) -> pyarrow.Array:
    arrow = pyarrow_module()
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    inner = values if isinstance(values, arrow.Array) else arrow.array(values)
    return arrow.ListArray.from_arrays(arrow.array(offsets), inner)
