"""Offsets and encoding of each weight in an encoded file: the manifest's `expansion`.
write_encoded.py writes such a file, expand_weights.py reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Literal

from oriel.contract.documents import EncodedWeightRecord, Expansion
from oriel.errors import ContractError
from oriel.precision.recipes.recipe import (
    BlockSize,
    Recipe,
)

Layout = Literal["float32", "float16", "channels", "blocks"]


@dataclass(frozen=True)
class EncodedWeight:
    """One weight in the encoded files and in the expanded one; the fields are the schema's.

    Quantized matrices have `channels` (N), each a sum over `summed` values (K) of the shape.
    """

    name: str
    shape: tuple[int, ...]
    """As the graph reads it, row-major."""
    at: int
    """Byte offset in the expanded file, which is float32."""
    layout: Layout
    values: int
    """Byte offset in the encoded file, as are the next two."""
    scales: int | None = None
    """float16; channels: (N), blocks: (N, ceil(K / block))."""
    zero_points: int | None = None
    """uint8; channels: (N); blocks: (N, ceil(ceil(K / block) * bits / 8))."""
    axis: Literal[0, 1] | None = None
    """The axis of the shape that is summed over."""
    bits: Literal[4, 8] | None = None
    signed: bool | None = None
    """channels only: int8, else uint8."""
    block: BlockSize | None = None
    """blocks only: values that share a scale."""

    @property
    def begin(self) -> int:
        """The offset of the first of its arrays."""
        return min(at for at in (self.scales, self.zero_points, self.values) if at is not None)

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def quantized(self) -> bool:
        return self.layout in ("channels", "blocks")

    @property
    def summed(self) -> int:
        """K."""
        assert self.axis is not None
        return self.shape[self.axis]

    @property
    def channels(self) -> int:
        """N."""
        assert self.axis is not None
        return self.shape[1 - self.axis]

    @property
    def blocks(self) -> int:
        """Number of blocks of a channel: one where the whole channel shares a scale."""
        return -(-self.summed // self.block) if self.block is not None else 1

    @property
    def middle(self) -> int:
        """The zero point where none is written."""
        assert self.bits is not None
        return 0 if self.signed else 1 << (self.bits - 1)

    @property
    def values_shape(self) -> tuple[int, ...]:
        """Shape of the array of values in the file."""
        if self.layout != "blocks":
            return self.shape
        assert self.block is not None and self.bits is not None
        return self.channels, self.blocks, self.block * self.bits // 8

    @property
    def value_bytes(self) -> int:
        item = {"float32": 4, "float16": 2}.get(self.layout, 1)
        return item * prod(self.values_shape)

    @property
    def scales_shape(self) -> tuple[int, ...]:
        return (self.channels, self.blocks) if self.layout == "blocks" else (self.channels,)

    @property
    def scale_bytes(self) -> int:
        return 2 * prod(self.scales_shape) if self.quantized else 0

    @property
    def zero_points_shape(self) -> tuple[int, ...]:
        """Shape of the array of zero points in the file, in bytes: two zero points of 4 bits share
        one."""
        if self.layout != "blocks":
            return (self.channels,)
        assert self.bits is not None
        return self.channels, -(-self.blocks * self.bits // 8)

    @property
    def zero_point_bytes(self) -> int:
        return prod(self.zero_points_shape) if self.zero_points is not None else 0

    def to_json(self) -> EncodedWeightRecord:
        record: EncodedWeightRecord = {
            "name": self.name,
            "shape": list(self.shape),
            "at": self.at,
            "layout": self.layout,
            "values": self.values,
        }
        if self.scales is not None:
            record["scales"] = self.scales
        if self.zero_points is not None:
            record["zero_points"] = self.zero_points
        if self.axis is not None:
            record["axis"] = self.axis
        if self.bits is not None:
            record["bits"] = self.bits
        if self.signed is not None:
            record["signed"] = self.signed
        if self.block is not None:
            record["block"] = self.block
        return record

    @staticmethod
    def from_json(data: EncodedWeightRecord) -> EncodedWeight:
        """Return the weight from a manifest that is valid by its schema; ContractError where keys
        don't fit each other."""
        weight = EncodedWeight(
            name=data["name"],
            shape=tuple(data["shape"]),
            at=data["at"],
            layout=data["layout"],
            values=data["values"],
            scales=data.get("scales"),
            zero_points=data.get("zero_points"),
            axis=data.get("axis"),
            bits=data.get("bits"),
            signed=data.get("signed"),
            block=data.get("block"),
        )
        needs = {
            "channels": ("axis", "scales", "bits"),
            "blocks": ("axis", "scales", "bits", "block"),
        }
        missing = [k for k in needs.get(weight.layout, ()) if getattr(weight, k) is None]
        if weight.quantized and len(weight.shape) != 2:
            missing = ["a second axis"]
        if weight.layout == "channels" and weight.bits not in (None, 8):
            missing = ["8 bits"]
        if missing:
            raise ContractError(
                f"the manifest doesn't say how {weight.name} is encoded",
                got=f"{weight.layout} without {', '.join(missing)}",
                next_step="export it again.",
            )
        return weight


@dataclass(frozen=True)
class EncodedFile:
    """One encoding's weights files, and the float32 file that one is expanded into."""

    path: str
    """The first file."""
    encoding: str
    """f16, q8, q4."""
    bytes: int
    """All of its files'."""
    digests: Mapping[str, str]
    """{name of a file: sha256:…}, in the order of the files."""
    weights: tuple[EncodedWeight, ...]
    expanded_bytes: int
    expanded_digest: str
    """sha256:…"""
    recipe: Recipe
    starts: tuple[int, ...] = (0,)
    """Offset at which each file begins; those of weights count through all files."""

    def weight(self, name: str) -> EncodedWeight | None:
        return next((weight for weight in self.weights if weight.name == name), None)

    def to_expansion(self, location: str) -> Expansion:
        """Return the manifest's `expansion`; location: the data file as the graphs name it."""
        return {
            "path": location,
            "bytes": self.expanded_bytes,
            "digest": self.expanded_digest,
            "dtype": "float32",
            "weights": [weight.to_json() for weight in self.weights],
        }
