"""The file of a lens pack: affine maps of the residual stream, one for each layer but the last, and
a description of their model and of how they were fitted. It is a safetensors file, which
contracts/ACTIVATIONS_CONTRACT.md specifies; its contents are untrusted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np

from oriel.arrays import Array
from oriel.contract.activation_names import ModelShape
from oriel.contract.documents import LensDescription
from oriel.contract.lens_packs import mapped_layers, pack_path
from oriel.graph.stored_maps import StoredMap
from oriel.graph.tensor_file import FileKind, StoredTensor, parse_tensor_file, read_file

DOCUMENT = "oriel.lens_pack"
"""Metadata key of the description, which is JSON."""
_KIND = FileKind(
    "lens pack",
    DOCUMENT,
    "manifest#/$defs/lensDescription",
    "fit one for the model: oriel fit-lens",
)


@dataclass(frozen=True)
class LensMap:
    """A layer's map: it replaces a stream (…, hidden) by stream @ weight + bias, to which a tuned
    lens adds the stream."""

    weight: Array
    """(hidden, hidden), float16 or float32; the stream is multiplied from the left."""
    bias: Array | None
    """(hidden); None for kinds without a bias."""


@dataclass(frozen=True)
class LensPack:
    """A pack that was read and checked."""

    data: bytes = field(repr=False)
    """Path of the file."""
    digest: str
    """Digest of the file: "sha256:" and 64 hexadecimal digits."""
    description: LensDescription
    maps: Mapping[int, LensMap] = field(repr=False)
    places: Mapping[str, StoredTensor] = field(repr=False)
    """{layer_{L}.weight or .bias: its location in the file}."""

    @property
    def path(self) -> str:
        """Return the file's name in a bundle."""
        return pack_path(self.digest)

    def stored_map(self, layer: int) -> StoredMap:
        """Return a layer's map in the form that graphs use, with locations in the file."""
        weight, bias = _names(layer, has_bias=self.has_bias)
        stored_bias = self.places[bias] if bias else None
        return StoredMap(self.path, self.places[weight], stored_bias, self.residual)

    @property
    def has_bias(self) -> bool:
        return self.description["kind"] == "tuned"

    @property
    def residual(self) -> bool:
        """Return whether the stream is added to the map's result."""
        return self.description["kind"] == "tuned"

    def apply(self, layer: int, stream: Array) -> Array:
        """Apply a layer's map to its stream (…, hidden). Return float32; the last layer's stream is
        returned unchanged."""
        found = self.maps.get(layer)
        if found is None:
            return stream
        mapped: Array = stream @ found.weight.astype(np.float32)
        if found.bias is not None:
            mapped = mapped + found.bias.astype(np.float32)
        return stream + mapped if self.residual else mapped


def pack_bytes(description: LensDescription, maps: Mapping[int, LensMap]) -> bytes:
    """Return the bytes of a pack's file."""
    from safetensors.numpy import save

    arrays: dict[str, Array] = {}
    for layer, each in maps.items():
        weight, bias = _names(layer, has_bias=each.bias is not None)
        arrays[weight] = np.ascontiguousarray(each.weight)
        if bias and each.bias is not None:
            arrays[bias] = np.ascontiguousarray(each.bias)
    made: bytes = save(arrays, {DOCUMENT: json.dumps(description)})
    return made


def read_pack(file: Path, shape: ModelShape, weights: str) -> LensPack:
    """Read a pack for a model of this shape with this weights_digest.

    Raises BundleError if the file can't be read, is not a lens pack, or belongs to another model.
    """
    return parse_pack(read_file(file, _KIND), file, shape, weights)


def parse_pack(data: bytes, file: Path, shape: ModelShape, weights: str) -> LensPack:
    """Check the bytes of a pack, as `read_pack` does. file: path to name in errors."""
    stored = parse_tensor_file(data, file, _KIND, weights)
    description = cast(LensDescription, stored.description)
    if shape.layers < 2:
        raise stored.damaged("a model of one layer", "two layers or more")
    stored.check_tensors(_wanted(description, shape), "by the model's sizes and the pack's kind")
    if [row["layer"] for row in description["fitted"]["kl"]] != list(mapped_layers(shape)):
        raise stored.damaged("divergences of other layers", "one for each map")
    arrays = {name: stored.array(name) for name in stored.places}
    maps = {
        layer: LensMap(arrays[f"layer_{layer}.weight"], arrays.get(f"layer_{layer}.bias"))
        for layer in mapped_layers(shape)
    }
    return LensPack(stored.data, stored.digest, description, maps, stored.places)


def _names(layer: int, *, has_bias: bool) -> tuple[str, str | None]:
    return f"layer_{layer}.weight", f"layer_{layer}.bias" if has_bias else None


def _wanted(description: LensDescription, shape: ModelShape) -> dict[str, tuple[int, ...]]:
    """Return {name: shape} of the tensors that a pack of this kind must have."""
    wanted: dict[str, tuple[int, ...]] = {}
    for layer in mapped_layers(shape):
        weight, bias = _names(layer, has_bias=description["kind"] == "tuned")
        wanted[weight] = (shape.hidden, shape.hidden)
        if bias:
            wanted[bias] = (shape.hidden,)
    return wanted
