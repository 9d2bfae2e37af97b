"""The units that dashboards are made of: neurons, heads and coordinates of the residual stream, in
one numbering over all layers, and the value of each at each token."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from oriel.arrays import Array
from oriel.contract.activation_names import ModelShape, kinds
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
    def by_magnitude(self) -> bool:
        return self.groups[0].by_magnitude


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
            count = shape.at(layer).heads if kind == "attn_z" else prod(sizes)
            first = groups[-1].end if groups else 0
            groups.append(UnitGroup(kind, layer, first, count))
    return tuple(groups)


def unit_blocks(groups: Sequence[UnitGroup]) -> tuple[UnitBlock, ...]:
    """Return the groups in blocks: those of narrow layers are joined."""
    blocks: list[list[UnitGroup]] = []
    for group in groups:
        last = blocks[-1] if blocks else []
        joins = last and last[0].kind == group.kind and max(group.count, last[0].count) < _NARROW
        if joins:
            last.append(group)
        else:
            blocks.append([group])
    return tuple(UnitBlock(tuple(block)) for block in blocks)


def block_values(block: UnitBlock, found: Mapping[str, Array]) -> Array:
    """Return (batch, seq, units), float32 and contiguous: the values of a block's units. found:
    activations by their names."""
    parts = [_values(group, found[group.activation]) for group in block.groups]
    joined = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)
    return np.ascontiguousarray(joined, dtype=np.float32)


def _values(group: UnitGroup, activation: Array) -> Array:
    """attn_z is (batch, heads, seq, width); all other kinds are (batch, seq, …)."""
    if group.kind == "attn_z":
        lengths: Array = np.sqrt(np.einsum("bhsw,bhsw->bsh", activation, activation))
        return lengths
    return activation.reshape(*activation.shape[:2], -1)
