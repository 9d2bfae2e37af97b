"""The memory that a run takes at most, stated before it starts."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from oriel.contract.dictionaries import tensor_shapes
from oriel.contract.manifest import Manifest
from oriel.dashboards.model_run import batch_rows
from oriel.dashboards.partial import BINS, FIRINGS, PASSAGES, WINDOW
from oriel.dashboards.ranges import CALIBRATED_CONTEXTS
from oriel.dashboards.reduce import STRETCH
from oriel.dashboards.units import UnitBlock, UnitGroup, dictionaries_of, unit_blocks

_PROGRAM = 350_000_000
"""Bytes of Python with its libraries, the tokenizer, and firings that wait to be merged."""
_BATCHES = 3
"""Batches at a time beside those that run: what the layers of one pass on, one that is reduced, and
one that is read."""
_STATES = 5
"""Copies of the state: of all shards, of the last one, and while two are joined and written."""
_WEIGHTS = 3
"""Copies of the weights: in the file's cache, in the session, and in the kernels' own order."""
_FEATURE_COPIES = 2
"""Further copies of features in each batch: the product, and what the threshold is compared on."""
_SORTED = 3
"""Further copies of a block's calibrated values: joined, their strength, and that in order."""
_REDUCED = 32
"""Bytes of a unit at a token of a stretch: copies that histogram and moments are made of."""


def bytes_needed(
    manifest: Manifest, groups: Sequence[UnitGroup], length: int, weights: int, runs: int = 1
) -> int:
    """Return a bound of the bytes. weights: bytes of the variant's weights as float32. runs:
    batches that the model runs at once."""
    units = groups[-1].end
    heads = 8 * int(groups[-1].directions.stop)
    state = heads + units * (PASSAGES * (16 + 8 * WINDOW) + FIRINGS * 12 + BINS * 8 + 80)
    shape, rows = manifest.shape, int(batch_rows(groups, length))
    values = units + shape.heads * length + 8 * shape.hidden + 4 * shape.intermediate
    features = sum(group.count for group in groups if group.above_zero)
    values += _FEATURE_COPIES * features
    largest = max(_units(block) for block in unit_blocks(groups))
    reduced = _REDUCED * STRETCH * largest
    return (
        _PROGRAM
        + _WEIGHTS * (weights + dictionary_bytes(manifest, groups))
        + (_BATCHES + runs) * 4 * rows * length * values
        + max(_STATES * state + reduced, calibration_bytes(groups, length))
    )


def calibration_bytes(groups: Sequence[UnitGroup], length: int) -> int:
    """Return the bytes that are taken while ranges are measured; of features only sums are kept."""
    counts = [_units(block) for block in unit_blocks(groups) if not block.above_zero]
    return 4 * length * CALIBRATED_CONTEXTS * (sum(counts) + _SORTED * max(counts, default=0))


def _units(block: UnitBlock) -> int:
    return sum(group.count for group in block.groups)


def dictionary_bytes(manifest: Manifest, groups: Sequence[UnitGroup]) -> int:
    """Return the bytes of the dictionaries whose features are among the units, as float32."""
    shapes = [
        tensor_shapes(each["description"], manifest.shape)
        for each in dictionaries_of(groups, manifest.data)
    ]
    return 4 * sum(prod(shape) for tensors in shapes for shape in tensors.values())


def memory_bound(manifest: Manifest, groups: Sequence[UnitGroup], length: int, runs: int) -> str:
    """Return a line that says how much memory the run takes at most. runs: batches that the model
    runs at once."""
    weights = 4 * int(manifest.data["model"]["parameters"])
    bound = bytes_needed(manifest, groups, length, weights, runs)
    rows = batch_rows(groups, length)
    return (
        f"{groups[-1].end} units, {runs} × {rows} contexts of {length} tokens at a time: at most "
        f"{bound / 1e9:.1f} GB of memory"
    )
