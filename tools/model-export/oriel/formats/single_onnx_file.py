"""ONNX files with their weights in them or beside them, written one tensor at a time, so that no
second copy of the weights is ever in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from oriel.contract.library_files import data_file

if TYPE_CHECKING:
    import onnx

MAX_ONE_FILE = 1_500_000_000
"""Bytes of weights up to which they stay in the file itself: protobuf ends at 2 GiB."""
_ALIGNMENT = 64
"""Alignment of weights in a data file, in bytes."""
_GRAPH, _INITIALIZER, _RAW_DATA = b"\x3a", b"\x2a", b"\x4a"
"""Fields of onnx.proto: 7 of a model, 5 of a graph and 9 of a tensor, behind which a length is."""
_LENGTH_FOLLOWS = 2
_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class StoredWeight:
    """A tensor of a graph, and where its values come from."""

    proto: onnx.TensorProto
    """Its name, type and sizes."""
    size: int
    """Bytes of its values."""
    parts: Callable[[], Iterable[bytes | memoryview]]
    """Reads the values, some at a time."""


def write_with_weights(file: Path, model: onnx.ModelProto, weights: Sequence[StoredWeight]) -> None:
    """Write a graph with these tensors behind its own ones. The model is empty afterwards."""
    heads = [weight.proto.SerializeToString() for weight in weights]
    graph = model.graph.SerializeToString()
    model.ClearField("graph")
    sizes = [
        len(head) + len(_RAW_DATA) + len(_varint(weight.size)) + weight.size
        for head, weight in zip(heads, weights, strict=True)
    ]
    total = len(graph) + sum(len(_INITIALIZER) + len(_varint(n)) + n for n in sizes)
    with file.open("wb") as out:
        out.write(model.SerializeToString() + _GRAPH + _varint(total) + graph)
        for head, weight, size in zip(heads, weights, sizes, strict=True):
            out.write(_INITIALIZER + _varint(size) + head + _RAW_DATA + _varint(weight.size))
            for part in weight.parts():
                out.write(part)


def write_with_weights_beside(
    file: Path, model: onnx.ModelProto, weights: Sequence[StoredWeight]
) -> None:
    """Write a graph, and the values of these tensors into its data file."""
    import onnx

    data = file.with_name(data_file(file.name))
    with data.open("wb") as out:
        for weight in weights:
            out.write(b"\0" * (-out.tell() % _ALIGNMENT))
            tensor = model.graph.initializer.add()
            tensor.CopyFrom(weight.proto)
            tensor.data_location = onnx.TensorProto.EXTERNAL
            place = {"location": data.name, "offset": out.tell(), "length": weight.size}
            for key, value in place.items():
                tensor.external_data.add(key=key, value=str(value))
            for part in weight.parts():
                out.write(part)
    onnx.save(model, file)


def put_weights_inside(file: Path, data: Path) -> None:
    """Replace a graph by one that holds the weights of its data file, which is removed."""
    import onnx
    from onnx.external_data_helper import ExternalDataInfo

    model = onnx.load(file, load_external_data=False)
    outside = [t for t in model.graph.initializer if _is_outside(t)]
    inside = [t for t in model.graph.initializer if not _is_outside(t)]
    whole = file.with_name(f"{file.name}.whole")
    with data.open("rb") as held:
        weights = []
        for tensor in outside:
            place = ExternalDataInfo(tensor)
            # Where it begins the file, a weight has no offset; the stubs don't know.
            offset = int(place.offset or 0)  # type: ignore[redundant-expr]
            length = int(place.length or 0)  # type: ignore[redundant-expr]
            weights.append(
                StoredWeight(_head(tensor), length, partial(_parts, held, offset, length))
            )
        del model.graph.initializer[:]
        model.graph.initializer.extend(inside)
        write_with_weights(whole, model, weights)
    whole.replace(file)
    data.unlink()


def _is_outside(tensor: onnx.TensorProto) -> bool:
    import onnx

    return bool(tensor.data_location == onnx.TensorProto.EXTERNAL)


def _head(tensor: onnx.TensorProto) -> onnx.TensorProto:
    """Return a tensor without its values."""
    import onnx

    head = onnx.TensorProto()
    head.CopyFrom(tensor)
    head.ClearField("external_data")
    head.ClearField("data_location")
    return head


def _parts(held: BinaryIO, offset: int, length: int) -> Iterator[bytes]:
    held.seek(offset)
    left = length
    while left > 0:
        part = held.read(min(left, _AT_ONCE))
        if not part:
            raise EOFError("the data file ends before a weight does")
        left -= len(part)
        yield part


def _varint(number: int) -> bytes:
    """Return a number as protobuf writes lengths: 7 bits a byte, the lowest first."""
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def without_graph(file: Path) -> onnx.ModelProto:
    """Return what a file that we wrote says beside its graph, such as its opset, without reading
    the weights in it."""
    import onnx

    kept = bytearray()
    with file.open("rb") as held:
        while key := held.read(1):
            if key[0] & 7 == _LENGTH_FOLLOWS:
                length = _read_varint(held)
                if key == _GRAPH:
                    held.seek(length, 1)
                else:
                    kept += key + _varint(length) + held.read(length)
            else:
                kept += key + _varint(_read_varint(held))
    model: onnx.ModelProto = onnx.ModelProto.FromString(bytes(kept))
    return model


def _read_varint(held: BinaryIO) -> int:
    number, shift = 0, 0
    while byte := held.read(1):
        number |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return number
        shift += 7
    raise EOFError("the file ends within a number")
