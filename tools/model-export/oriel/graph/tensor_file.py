"""A safetensors file that taps read tensors from, such as a lens pack's: a JSON description in its
metadata, and locations of tensors that cover it without gaps. Its contents are untrusted."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import cast

import numpy as np
import onnx
from onnx import TensorProto

from oriel.arrays import Array
from oriel.contract.activation_contract import schema_problem
from oriel.contract.documents import TapRecord
from oriel.contract.json_value import JsonObject, JsonValue
from oriel.contract.strict_json import read_json
from oriel.errors import BundleError, ContractError

MAX_HEADER = 1 << 20
_DTYPES = {"F32": ("float32", "<f4"), "F16": ("float16", "<f2")}
_ITEM_BYTES = {"float32": 4, "float16": 2}
_ELEMENTS: dict[str, int] = {"float32": TensorProto.FLOAT, "float16": TensorProto.FLOAT16}


@dataclass(frozen=True)
class StoredTensor:
    """Location of a tensor in a file."""

    shape: tuple[int, ...]
    dtype: str
    """float32 or float16."""
    offset: int
    """Byte offset from the start of the file."""

    @property
    def bytes(self) -> int:
        return prod(self.shape) * _ITEM_BYTES[self.dtype]

    @property
    def element(self) -> int:
        """The dtype's number in ONNX."""
        return _ELEMENTS[self.dtype]

    @property
    def place(self) -> tuple[tuple[int, ...], int, int]:
        """Shape, number of the dtype in ONNX, and byte offset."""
        return self.shape, self.element, self.offset


@dataclass(frozen=True)
class FileKind:
    """A kind of such files, and the words of its errors."""

    what: str
    """As errors name one: "lens pack"."""
    document: str
    """Metadata key of the description, which is JSON."""
    schema: str
    """Schema of the description, as schema_problem names it."""
    get_one: str
    """Command line that makes one for a model."""


@dataclass(frozen=True)
class TensorFile:
    """A file whose description keeps its schema."""

    data: bytes = field(repr=False)
    file: Path
    """Path to name in errors."""
    kind: FileKind
    description: JsonObject
    places: Mapping[str, StoredTensor] = field(repr=False)
    """{tensor: its location}."""

    @property
    def digest(self) -> str:
        """Return "sha256:" and 64 hexadecimal digits."""
        return f"sha256:{hashlib.sha256(self.data).hexdigest()}"

    def check_tensors(self, wanted: Mapping[str, tuple[int, ...]], reason: str) -> None:
        """Raise BundleError where the tensors differ from {name: shape}. reason: the source of the
        shapes."""
        for name in sorted({*self.places, *wanted}):
            found = self.places[name].shape if name in self.places else None
            if found != wanted.get(name):
                got = f"{name[:40]} {_shown(found)}"
                raise self.damaged(got, f"{_shown(wanted.get(name))}, {reason}")

    def array(self, name: str) -> Array:
        """Return a tensor's values, float32 or float16. Raises BundleError where one is not
        finite."""
        place = self.places[name]
        kind = next(numpy for said, numpy in _DTYPES.values() if said == place.dtype)
        values: Array = np.frombuffer(self.data, kind, prod(place.shape), place.offset)
        if not bool(np.isfinite(values).all()):
            raise self.damaged(f"{name} with numbers that aren't finite", "finite numbers")
        return values.reshape(place.shape)

    def damaged(self, got: str, expected: str | None = None) -> BundleError:
        """Return the error of a file that can't be used."""
        return _damaged(self.file, self.kind, got, expected)


def places_in_tap(tap: TapRecord) -> dict[str, tuple[tuple[int, ...], int, int]]:
    """Return {name: (shape, number of the dtype in ONNX, byte offset)} of the tensors that a tap
    which was checked reads from a file."""
    graph = onnx.ModelProto.FromString(base64.b64decode(tap["bytes"])).graph
    return {
        tensor.name: (
            tuple(tensor.dims),
            tensor.data_type,
            int({entry.key: entry.value for entry in tensor.external_data}["offset"]),
        )
        for tensor in graph.initializer
    }


def read_file(file: Path, kind: FileKind) -> bytes:
    """Return a file's bytes. Raises BundleError where it can't be read, or its size isn't the one
    that its header gives: such a file is not read, since it may be larger than the memory."""
    try:
        with file.open("rb") as opened:
            size = os.fstat(opened.fileno()).st_size
            begin = opened.read(8 + MAX_HEADER)
            header, offset = _header(begin, size, file, kind)
            header.pop("__metadata__", None)
            _places(header, offset, size, file, kind)
            opened.seek(0)
            return opened.read(size)
    except OSError as error:
        raise BundleError(
            f"the {kind.what} {file} can't be read",
            got=error.strerror,
            next_step="check the path.",
        ) from error


def parse_tensor_file(data: bytes, file: Path, kind: FileKind, weights: str) -> TensorFile:
    """Check the header and the description of a file's bytes. weights: weights_digest of the model
    that it must belong to.

    Raises BundleError for bytes of another form, and where the file belongs to another model.
    """
    header, begin = _header(data, len(data), file, kind)
    description = _description(header.pop("__metadata__", None), file, kind)
    said = str(description["weights"])
    if said != weights:
        raise BundleError(
            f"the {kind.what} {file.name} belongs to another model",
            got=f"{said[:23]}…",
            expected=f"{weights[:23]}…",
            next_step=f"{kind.get_one}.",
        )
    places = _places(header, begin, len(data), file, kind)
    return TensorFile(data, file, kind, description, places)


def _header(data: bytes, size: int, file: Path, kind: FileKind) -> tuple[JsonObject, int]:
    """Return the header's JSON object, and the byte offset of the first value. data: the file's
    first bytes, with the largest header that there may be. size: the file's, in bytes."""
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(MAX_HEADER, len(data) - 8):
        raise _damaged(file, kind, f"{size} bytes, cut short or something else")
    try:
        header = read_json(data[8 : 8 + length], file.name)
    except ContractError as error:
        raise _damaged(file, kind, str(error.got or error.what)) from error
    if not isinstance(header, dict):
        raise _damaged(file, kind, "a header that is no object")
    return header, 8 + length


def _description(metadata: JsonValue, file: Path, kind: FileKind) -> JsonObject:
    text = metadata.get(kind.document) if isinstance(metadata, dict) else None
    if not isinstance(text, str):
        raise _damaged(file, kind, f"no {kind.document} in its metadata")
    try:
        said = read_json(text.encode(), file.name)
    except ContractError as error:
        raise _damaged(file, kind, str(error.got or error.what)) from error
    problem = schema_problem(kind.schema, said)
    if problem is not None:
        raise _damaged(file, kind, f"a description that breaks its schema {problem}")
    return cast(JsonObject, said)


def _places(
    header: JsonObject, begin: int, size: int, file: Path, kind: FileKind
) -> dict[str, StoredTensor]:
    """Return the tensors' locations, which must cover the file without gaps or overlaps."""
    places: dict[str, StoredTensor] = {}
    for name, entry in header.items():
        said = entry if isinstance(entry, dict) else {}
        shape, offsets = said.get("shape"), said.get("data_offsets")
        dtype = _DTYPES.get(str(said.get("dtype")))
        if dtype is None or not _are_sizes(shape) or not _are_sizes(offsets):
            got = f"{name[:40]} in no known way"
            raise _damaged(file, kind, got, "float32 or float16 numbers")
        place = StoredTensor(
            tuple(cast(list[int], shape)), dtype[0], begin + cast(list[int], offsets)[0]
        )
        if place.offset + place.bytes != begin + cast(list[int], offsets)[-1]:
            got = f"{name[:40]} with a place of another size than its own"
            raise _damaged(file, kind, got)
        places[name] = place
    end = begin
    for place in sorted(places.values(), key=lambda each: each.offset):
        if place.offset != end:
            raise _damaged(file, kind, f"a tensor at {place.offset} instead of {end}")
        end += place.bytes
    if end != size:
        raise _damaged(file, kind, f"{size} bytes", f"{end}")
    return places


def _are_sizes(value: JsonValue) -> bool:
    return (
        isinstance(value, list)
        and 1 <= len(value) <= 2
        and all(
            isinstance(each, int) and not isinstance(each, bool) and each >= 0 for each in value
        )
    )


def _shown(shape: tuple[int, ...] | None) -> str:
    return "no such tensor" if shape is None else " × ".join(map(str, shape))


def _damaged(file: Path, kind: FileKind, got: str, expected: str | None = None) -> BundleError:
    return BundleError(
        f"{file.name} is no {kind.what} that can be used",
        got=got,
        expected=expected or f"a {kind.what} for the model",
        next_step=f"get it again, or {kind.get_one}.",
    )
