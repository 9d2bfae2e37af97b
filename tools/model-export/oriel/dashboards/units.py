"""The units that dashboards are made of: neurons, heads and coordinates of the residual stream, in
one numbering over all layers, and the value of each at each token."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from oriel.arrays import Array
from oriel.contract.activation_names import ModelShape, kinds
from oriel.dashboards.partial import Sizes
from oriel.errors import OptionError

KINDS = ("mlp_act", "attn_z", "resid_post")
"""Kinds of activation whose units can have dashboards."""
_BY_MAGNITUDE = ("resid_post",)
"""Kinds whose units have no favoured sign: passages are ranked by the value's magnitude."""
_NARROW = 256
"""Layers of fewer units than this are reduced together, since each call of NumPy has its cost."""


@dataclass(frozen=True)
class UnitGroup:
    """The units of one kind in one layer, which stand one after another in the numbering."""

    kind: str
    layer: int
    first: int
    """Number of its first unit among all."""
    count: int
    width: int = 0
    """Numbers of the vector whose length is a unit's value: of a head its mix of values; 0 for
    units whose value is a number."""
    first_direction: int = 0
    """Place of its first vector among those of all units, which follow one another."""

    @property
    def directions(self) -> slice:
        """Return the place of its vectors, (count × width) numbers, among those of all units."""
        return slice(self.first_direction, self.first_direction + self.count * self.width)

    @property
    def activation(self) -> str:
        """The contract's name of the activation that has the units' values."""
        return kinds()[self.kind].at(self.layer)

    @property
    def by_magnitude(self) -> bool:
        """True where a large negative value is as strong as a large positive one."""
        return self.kind in _BY_MAGNITUDE

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


def unit_groups(shape: ModelShape, asked: Collection[str]) -> tuple[UnitGroup, ...]:
    """Return the groups of the kinds, in the table's order and layer by layer. Raises OptionError
    for a kind that the model doesn't have."""
    groups: list[UnitGroup] = []
    for kind in (each for each in KINDS if each in asked):
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
    return tuple(groups)


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
