"""The units that dashboards are made of: neurons, heads, coordinates of the residual stream and
features of dictionaries, in one numbering over all layers, and the value of each at each token."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from oriel.arrays import Array
from oriel.contract.activation_names import ModelShape, kinds
from oriel.contract.dictionaries import features_name
from oriel.contract.documents import DictionaryRecord, ManifestDocument
from oriel.dashboards.partial import Sizes
from oriel.errors import OptionError

FEATURES = "features"
"""Kind of the units of all dictionaries of a bundle."""
KINDS = ("mlp_act", "attn_z", "resid_post", FEATURES)
"""Kinds whose units can have dashboards."""
_BY_MAGNITUDE = ("resid_post",)
"""Kinds whose units have no favoured sign: passages are ranked by the value's magnitude."""
_NARROW = 256
"""Layers of fewer units than this are reduced together, since each call of NumPy has its cost."""


@dataclass(frozen=True)
class UnitGroup:
    """The units of one kind in one layer, which stand one after another in the numbering."""

    kind: str
    """Of a dictionary's features the name of their activation."""
    layer: int
    """Of features the layer that the dictionary reads."""
    first: int
    """Number of its first unit among all."""
    count: int
    width: int = 0
    """Numbers of the vector whose length is a unit's value: of a head its mix of values; 0 for
    units whose value is a number."""
    first_direction: int = 0
    """Place of its first vector among those of all units, which follow one another."""
    dictionary: str | None = None
    """Name of the dictionary whose features the units are; None for units of the model itself."""

    @property
    def directions(self) -> slice:
        """Return the place of its vectors, (count × width) numbers, among those of all units."""
        return slice(self.first_direction, self.first_direction + self.count * self.width)

    @property
    def activation(self) -> str:
        """The contract's name of the activation that has the units' values."""
        if self.dictionary is not None:
            return features_name(self.dictionary)
        return kinds()[self.kind].at(self.layer)

    @property
    def by_magnitude(self) -> bool:
        """True where a large negative value is as strong as a large positive one."""
        return self.kind in _BY_MAGNITUDE

    @property
    def above_zero(self) -> bool:
        """True for features, which are 0 at most tokens: they fire wherever they are above 0."""
        return self.dictionary is not None

    @property
    def end(self) -> int:
        """Number of the unit behind its last."""
        return self.first + self.count

    @property
    def span(self) -> slice:
        """Return the group's place in arrays over all units."""
        return slice(self.first, self.end)


@dataclass(frozen=True)
class UnitBlock:
    """Groups of one kind that are reduced together."""

    groups: tuple[UnitGroup, ...]

    @property
    def end(self) -> int:
        return self.groups[-1].end

    @property
    def span(self) -> slice:
        return slice(self.groups[0].first, self.end)

    @property
    def directions(self) -> slice:
        return slice(self.groups[0].directions.start, self.groups[-1].directions.stop)

    @property
    def width(self) -> int:
        return self.groups[0].width

    @property
    def by_magnitude(self) -> bool:
        return self.groups[0].by_magnitude

    @property
    def above_zero(self) -> bool:
        return self.groups[0].above_zero


@dataclass(frozen=True)
class BlockValues:
    """The values of a block's units at some tokens."""

    values: Array
    """(…, units), float32 and contiguous."""
    vectors: Array | None
    """(…, units, width), float32: those whose lengths the values are; None for other units."""

    def row(self, at: int) -> BlockValues:
        """Return those of one context of a batch."""
        return BlockValues(self.values[at], None if self.vectors is None else self.vectors[at])


def unit_groups(
    shape: ModelShape, asked: Collection[str], dictionaries: Sequence[DictionaryRecord] = ()
) -> tuple[UnitGroup, ...]:
    """Return the groups of the kinds, in the table's order and layer by layer; those of features,
    one for each of the bundle's dictionaries, come last. Raises OptionError for a kind that the
    model doesn't have."""
    groups: list[UnitGroup] = []
    for kind in (each for each in KINDS if each in asked and each != FEATURES):
        row = kinds()[kind]
        layers = row.layers_of(shape) if row.present_in(shape) else []
        if not layers:
            raise OptionError(f"the model has no {kind}", expected="another of --kinds")
        for layer in layers:
            sizes = [size for size in row.spec(shape, layer).shape if isinstance(size, int)]
            # Of a head there is one value, the length of its vector.
            heads, width = shape.at(layer).heads, shape.at(layer).size("value_dim")
            count, width = (heads, width) if kind == "attn_z" else (prod(sizes), 0)
            before = groups[-1] if groups else UnitGroup(kind, layer, 0, 0)
            groups.append(UnitGroup(kind, layer, before.end, count, width, before.directions.stop))
    if FEATURES in asked:
        _add_features(groups, dictionaries)
    return tuple(groups)


def _add_features(groups: list[UnitGroup], dictionaries: Sequence[DictionaryRecord]) -> None:
    """Add the group of each dictionary's features. Raises OptionError where there is none."""
    if not dictionaries:
        raise OptionError(
            "the bundle has no dictionary whose features could be counted",
            got=f"--kinds {FEATURES}",
            expected="other kinds",
            next_step="add a dictionary: oriel add-dictionary.",
        )
    for record in dictionaries:
        kind, description = features_name(record["name"]), record["description"]
        layer, count = int(description["reads"]["layer"]), int(description["features"])
        before = groups[-1] if groups else UnitGroup(kind, layer, 0, 0)
        begin = before.directions.stop
        groups.append(UnitGroup(kind, layer, before.end, count, 0, begin, record["name"]))


def dictionaries_of(
    groups: Sequence[UnitGroup], manifest: ManifestDocument
) -> list[DictionaryRecord]:
    """Return the records of the dictionaries whose features are among the units."""
    names = {group.dictionary for group in groups}
    return [each for each in manifest.get("dictionaries", ()) if each["name"] in names]


def dictionary_digests(groups: Sequence[UnitGroup], manifest: ManifestDocument) -> dict[str, str]:
    """Return {name: digest of the file} of the dictionaries whose features are among the units."""
    digests = {file["path"]: file["digest"] for file in manifest["files"]}
    return {each["name"]: digests[each["path"]] for each in dictionaries_of(groups, manifest)}


def sizes_of(groups: Sequence[UnitGroup]) -> Sizes:
    """Return the sizes of results for the units of groups."""
    return Sizes(groups[-1].end, groups[-1].directions.stop)


def unit_blocks(groups: Sequence[UnitGroup]) -> tuple[UnitBlock, ...]:
    """Return the groups in blocks: those of narrow layers are joined."""
    blocks: list[list[UnitGroup]] = []
    for group in groups:
        last = blocks[-1] if blocks else []
        alike = last and (last[0].kind, last[0].width) == (group.kind, group.width)
        if alike and max(group.count, last[0].count) < _NARROW:
            last.append(group)
        else:
            blocks.append([group])
    return tuple(UnitBlock(tuple(block)) for block in blocks)


def block_values(block: UnitBlock, found: Mapping[str, Array]) -> BlockValues:
    """Return the values of a block's units, (batch, seq, units). found: activations by their
    names."""
    arrays = [found[group.activation] for group in block.groups]
    if block.width:
        # (batch, heads, seq, width) of each layer.
        vectors = np.concatenate([array.swapaxes(1, 2) for array in arrays], axis=2)
        lengths: Array = np.sqrt(np.einsum("bsuw,bsuw->bsu", vectors, vectors))
        return BlockValues(lengths, vectors)
    parts = [array.reshape(*array.shape[:2], -1) for array in arrays]
    joined = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)
    return BlockValues(np.ascontiguousarray(joined, dtype=np.float32), None)
