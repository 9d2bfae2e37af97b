"""The memory that a run takes at most, stated before it starts."""

from __future__ import annotations

from collections.abc import Sequence

from oriel.contract.manifest import Manifest
from oriel.dashboards.model_run import batch_rows
from oriel.dashboards.partial import BINS, FIRINGS, PASSAGES, WINDOW
from oriel.dashboards.units import UnitGroup

_PROGRAM = 350_000_000
"""Bytes of Python with its libraries, the tokenizer, and firings that wait to be merged."""
_BATCHES = 4
"""Batches at a time: one that runs, with what its layers pass on, and one that is reduced."""
_STATES = 5
"""Copies of the state: of all shards, of the last one, and while two are joined and written."""
_WEIGHTS = 3
"""Copies of the weights: in the file's cache, in the session, and in the kernels' own order."""


def bytes_needed(manifest: Manifest, groups: Sequence[UnitGroup], length: int, weights: int) -> int:
    """Return a bound of the bytes. weights: bytes of the variant's weights as float32."""
    units = groups[-1].end
    heads = 8 * int(groups[-1].directions.stop)
    state = heads + units * (PASSAGES * (16 + 8 * WINDOW) + FIRINGS * 12 + BINS * 8 + 80)
    shape, rows = manifest.shape, int(batch_rows(groups, length))
    values = units + shape.heads * length + 8 * shape.hidden + 4 * shape.intermediate
    return _PROGRAM + _WEIGHTS * weights + _BATCHES * 4 * rows * length * values + _STATES * state


def memory_bound(manifest: Manifest, groups: Sequence[UnitGroup], length: int) -> str:
    """Return a line that says how much memory the run takes at most."""
    weights = 4 * int(manifest.data["model"]["parameters"])
    bound = bytes_needed(manifest, groups, length, weights)
    rows = batch_rows(groups, length)
    return (
        f"{groups[-1].end} units, {rows} contexts of {length} tokens at a time: at most "
        f"{bound / 1e9:.1f} GB of memory"
    )
