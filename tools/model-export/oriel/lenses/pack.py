"""The file of a lens pack: affine maps of the residual stream, one for each layer but the last, and
a description of their model and of how they were fitted. It is a safetensors file, which
contracts/ACTIVATIONS_CONTRACT.md specifies; its contents are untrusted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import cast

import numpy as np

from oriel.arrays import Array
from oriel.contract.activation_contract import schema_problem
from oriel.contract.activation_names import ModelShape
from oriel.contract.documents import LensDescription
from oriel.contract.json_value import JsonObject, JsonValue
from oriel.contract.lens_packs import mapped_layers, pack_path
from oriel.contract.strict_json import read_json
from oriel.errors import BundleError, ContractError
from oriel.graph.stored_maps import StoredMap, StoredTensor

DOCUMENT = "oriel.lens_pack"
"""Metadata key of the description, which is JSON."""
MAX_HEADER = 1 << 20
_DTYPES = {"F32": ("float32", "<f4"), "F16": ("float16", "<f2")}


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
    try:
        data = file.read_bytes()
    except OSError as error:
        raise BundleError(
            f"the lens pack {file} can't be read", got=error.strerror, next_step="check the path."
        ) from error
    return parse_pack(data, file, shape, weights)


def parse_pack(data: bytes, file: Path, shape: ModelShape, weights: str) -> LensPack:
    """Check the bytes of a pack, as `read_pack` does. file: path to name in errors."""
    header, begin = _header(data, file)
    description = _description(header.pop("__metadata__", None), file)
    if description["weights"] != weights:
        raise BundleError(
            f"the lens pack {file.name} belongs to another model",
            got=f"{description['weights'][:23]}…",
            expected=f"{weights[:23]}…",
            next_step="fit one for this model: oriel fit-lens.",
        )
    if shape.layers < 2:
        raise _damaged(file, "a model of one layer", "two layers or more")
    places = _places(header, begin, len(data), file)
    wanted = _wanted(description, shape)
    found = {name: place.shape for name, place in places.items()}
    if found != wanted:
        raise _damaged(file, *_first_difference(found, wanted))
    if [row["layer"] for row in description["fitted"]["kl"]] != list(mapped_layers(shape)):
        raise _damaged(file, "divergences of other layers", "one for each map")
    arrays = {name: _array(data, place, name, file) for name, place in places.items()}
    maps = {
        layer: LensMap(arrays[f"layer_{layer}.weight"], arrays.get(f"layer_{layer}.bias"))
        for layer in mapped_layers(shape)
    }
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    return LensPack(data, digest, description, maps, places)


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


def _first_difference(
    found: Mapping[str, tuple[int, ...]], wanted: Mapping[str, tuple[int, ...]]
) -> tuple[str, str]:
    for name in sorted({*found, *wanted}):
        if found.get(name) != wanted.get(name):
            return (
                f"{name[:40]} {_shown(found.get(name))}",
                f"{_shown(wanted.get(name))}, by the model's sizes and the pack's kind",
            )
    raise AssertionError("they are the same")


def _shown(shape: tuple[int, ...] | None) -> str:
    return "no such tensor" if shape is None else " × ".join(map(str, shape))


def _header(data: bytes, file: Path) -> tuple[JsonObject, int]:
    """Return the header's JSON object, and the byte offset of the first value."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(MAX_HEADER, len(data) - 8):
        raise _damaged(file, f"{len(data)} bytes, cut short or something else")
    try:
        header = read_json(data[8 : 8 + length], file.name)
    except ContractError as error:
        raise _damaged(file, str(error.got or error.what)) from error
    if not isinstance(header, dict):
        raise _damaged(file, "a header that is no object")
    return header, 8 + length


def _description(metadata: JsonValue, file: Path) -> LensDescription:
    text = metadata.get(DOCUMENT) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise _damaged(file, f"no {DOCUMENT} in its metadata")
    try:
        said = read_json(text.encode(), file.name)
    except ContractError as error:
        raise _damaged(file, str(error.got or error.what)) from error
    problem = schema_problem("manifest#/$defs/lensDescription", said)
    if problem is not None:
        raise _damaged(file, f"a description that breaks its schema {problem}")
    return cast(LensDescription, said)


def _places(header: JsonObject, begin: int, size: int, file: Path) -> dict[str, StoredTensor]:
    """Return the tensors' locations, which must cover the file without gaps or overlaps."""
    places: dict[str, StoredTensor] = {}
    for name, entry in header.items():
        said = entry if isinstance(entry, dict) else {}
        shape, offsets = said.get("shape"), said.get("data_offsets")
        dtype = _DTYPES.get(str(said.get("dtype")))
        if dtype is None or not _are_sizes(shape, 2) or not _are_sizes(offsets, 2):
            raise _damaged(file, f"{name[:40]} in no known way", "float32 or float16 numbers")
        place = StoredTensor(
            tuple(cast(list[int], shape)), dtype[0], begin + cast(list[int], offsets)[0]
        )
        if place.offset + place.bytes != begin + cast(list[int], offsets)[-1]:
            raise _damaged(file, f"{name[:40]} with a place of another size than its own")
        places[name] = place
    end = begin
    for place in sorted(places.values(), key=lambda each: each.offset):
        if place.offset != end:
            raise _damaged(file, f"a tensor at {place.offset} instead of {end}")
        end += place.bytes
    if end != size:
        raise _damaged(file, f"{size} bytes", f"{end}")
    return places


def _are_sizes(value: JsonValue, most: int) -> bool:
    return (
        isinstance(value, list)
        and 1 <= len(value) <= most
        and all(
            isinstance(each, int) and not isinstance(each, bool) and each >= 0 for each in value
        )
    )


def _array(data: bytes, place: StoredTensor, name: str, file: Path) -> Array:
    kind = next(numpy for said, numpy in _DTYPES.values() if said == place.dtype)
    values: Array = np.frombuffer(data, kind, prod(place.shape), place.offset)
    if not bool(np.isfinite(values).all()):
        raise _damaged(file, f"{name} with numbers that aren't finite", "finite numbers")
    return values.reshape(place.shape)


def _damaged(file: Path, got: str, expected: str = "a lens pack for the model") -> BundleError:
    return BundleError(
        f"{file.name} is no lens pack that can be used",
        got=got,
        expected=expected,
        next_step="get it again, or fit one: oriel fit-lens.",
    )
