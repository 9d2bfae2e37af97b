"""The directions along which the units of a group write into the model. A neuron's is its row of
weights, of which the graph knows; a head's is the mean of what it writes where it fires; a
feature's is its row of the decoder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from oriel.arrays import Array
from oriel.contract.documents import ManifestDocument
from oriel.dashboards.units import UnitGroup
from oriel.dictionaries.listed_dictionary import check_dictionary, choose_dictionary

_NO_LENGTH = 1e-30
"""Far below any vector's length: the direction of a head that never fired stays 0."""


@dataclass(frozen=True)
class Directions:
    """Vectors that the units of a group add to an activation for a value of 1."""

    units: int
    kind: str
    """Of the activation."""
    layer: int
    vectors: Array | None = None
    """(units, width), float32: a vector of each unit, along the whole activation at a token with
    heads one after another; None where the units are the activation's own numbers."""
    of_heads: bool = False
    """True where the units are the activation's heads, and each vector is along one head."""


def group_directions(
    folder: Path, manifest: ManifestDocument, group: UnitGroup, sums: Array
) -> Directions:
    """Return the directions of a group's units. Raises BundleError where a dictionary's file isn't
    the manifest's.

    folder: of the bundle. sums: of all units' vectors where they fire; a head's is made as long as
    1.
    """
    if group.dictionary is not None:
        record = choose_dictionary(manifest, group.dictionary)
        rows = check_dictionary(folder, manifest, record).wide("decoder_weight")
        writes = record["description"]["writes"]
        return Directions(group.count, writes["kind"], int(writes["layer"]), rows)
    if not group.width:
        return Directions(group.count, group.kind, group.layer)
    along = sums[group.directions].reshape(group.count, group.width)
    along = along / np.maximum(np.linalg.norm(along, axis=1, keepdims=True), _NO_LENGTH)
    return Directions(group.count, group.kind, group.layer, along.astype(np.float32), of_heads=True)
