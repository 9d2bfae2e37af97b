"""Reads what a variant's files hold in place of each weight of the checkpoint, decoded from the
graph that reads them, or from the expanded file. It shares no code with what wrote them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import ExternalDataInfo

from oriel.arrays import Array
from oriel.contract.documents import EncodedWeightRecord, Expansion

PARTS = ("/values", "/rows", "/scales", "/zero_points")
"""Names of the initializers that together are an encoded weight, after its own."""
_REPRESENTATION_OPERATORS = ("Transpose", "Cast", "DequantizeLinear")

_DECODING_OPERATORS = (*("BitwiseAnd", "BitShift", "Unsqueeze", "Concat", "Cast", "Sub", "Mul"),)
"""Operators that make numbers of gathered bytes, before a Reshape makes rows of them."""


@dataclass(frozen=True)
class StoredWeight:
    """A weight as a variant has it."""

    name: str
    values: Array
    """float32, or float16 where the graph reads that; a matrix may be transposed."""
    bits: int
    """Bits of a value: 32, 16, 8 or 4."""
    groups: Array | None = None
    """The values again, (groups, values that share a scale); None where none do."""


_WIDENED = "/Cast"
"""Ending of the name of what was cast, also where the Cast was carried out in advance."""


def weight_name(initializer: str) -> str:
    """Return the checkpoint's name of the weight that an initializer is or belongs to."""
    for part in PARTS:
        if initializer.endswith(part):
            return initializer.removesuffix(part)
    return initializer


def from_graph(model: onnx.ModelProto, folder: Path) -> Iterator[StoredWeight]:
    """Yield every weight that the graph reads from data files in the folder."""
    return (read() for read in weights_of_graph(model, folder).values())


def weights_of_graph(model: onnx.ModelProto, folder: Path) -> dict[str, Callable[[], StoredWeight]]:
    """Return {name: what reads and decodes it} of every weight that the graph reads from data files
    in the folder."""
    tensors = {
        t.name.removesuffix(_WIDENED): t
        for t in model.graph.initializer
        # The decoder graph's scales may lie in the graph itself.
        if t.data_location == TensorProto.EXTERNAL or t.name.endswith(f"/scales{_WIDENED}")
    }
    names = dict.fromkeys(weight_name(name) for name in tensors)
    return {name: partial(_from_graph, name, tensors, model.graph, folder) for name in names}


def _from_graph(
    name: str, tensors: Mapping[str, TensorProto], graph: onnx.GraphProto, folder: Path
) -> StoredWeight:
    whole = tensors.get(name) or tensors.get(f"{name}/values") or tensors.get(f"{name}/rows")
    if whole is None:
        raise ValueError(f"{name} has scales and no values")
    if whole.data_type in (TensorProto.FLOAT, TensorProto.FLOAT16):
        bits = 32 if whole.data_type == TensorProto.FLOAT else 16
        return StoredWeight(name, read_initializer(whole, folder), bits)
    parts = {part: tensors.get(name + part) for part in PARTS}
    arrays = {k: read_initializer(t, folder) for k, t in parts.items() if t is not None}
    reader = _first_user(graph, whole.name)
    found = _decoded(name, arrays, reader, _bits_of(graph, reader))
    width = _row_width(graph, reader)
    return found if width is None else replace(found, values=found.values[:, :width])


def _first_user(graph: onnx.GraphProto, name: str) -> onnx.NodeProto:
    """Return the first node that computes on an initializer."""
    names = {name}
    for node in graph.node:
        if names & set(node.input):
            if node.op_type not in _REPRESENTATION_OPERATORS:
                found: onnx.NodeProto = node
                return found
            names |= set(node.output)
    raise ValueError(f"nobody reads {name}")


def _bits_of(graph: onnx.GraphProto, reader: onnx.NodeProto) -> int:
    """Return the bits of a value: as the node says, or 4 where the rows that it gathers are taken
    apart."""
    said = [a.i for a in reader.attribute if a.name == "bits"]
    halves = any(
        node.op_type == "BitwiseAnd" and reader.output[0] in node.input for node in graph.node
    )
    return int(said[0]) if said else 4 if halves else 8


def _row_width(graph: onnx.GraphProto, reader: onnx.NodeProto) -> int | None:
    """Return how many numbers of the gathered rows are a table's, where they are cut behind their
    decoding, since their last block is filled up; None where all are."""
    if reader.op_type != "Gather":
        return None
    numbers = {t.name: t for t in graph.initializer}
    decoded, rows = set(reader.output), set[str]()
    # Nodes stand in the order in which they run.
    for node in graph.node:
        first = next(iter(node.input), "")
        if first in rows and node.op_type == "Slice" and node.input[2] in numbers:
            return int(numpy_helper.to_array(numbers[node.input[2]]).item())
        if first in decoded and node.op_type == "Reshape":
            rows |= set(node.output)
        elif first in decoded and node.op_type in _DECODING_OPERATORS:
            decoded |= set(node.output)
    return None


def _decoded(
    name: str, parts: Mapping[str, Array], reader: onnx.NodeProto, bits: int
) -> StoredWeight:
    said = {a.name: helper.get_attribute_value(a) for a in reader.attribute}
    scales = parts["/scales"].astype(np.float32)
    zeros = parts.get("/zero_points")
    if scales.ndim == 2:
        packed = parts["/values"] if "/values" in parts else parts["/rows"]
        blocks = _unpacked(packed.reshape(*scales.shape, -1), bits).astype(np.float32)
        half = np.full(scales.shape, 1 << (bits - 1), np.uint8)
        shift = half if zeros is None else _unpacked(zeros, bits)[:, : scales.shape[1]]
        values = (blocks - shift.astype(np.float32)[..., None]) * scales[..., None]
        rows = values.reshape(len(scales), -1)
        summed = int(said.get("K", rows.shape[1]))
        return StoredWeight(name, rows[:, :summed], bits, values.reshape(-1, values.shape[-1]))
    small = parts["/values"]
    # A table whose rows are gathered has a scale for each row; a factor, for each column.
    rows = small if reader.op_type == "Gather" else small.T
    if len(rows) != len(scales):
        rows = rows.T
    middle = np.full(len(scales), 128 if small.dtype == np.uint8 else 0)
    center = (middle if zeros is None else zeros).astype(np.float32)
    values = (rows.astype(np.float32) - center[:, None]) * scales[:, None]
    return StoredWeight(name, values, 8, values)


def _unpacked(packed: Array, bits: int) -> Array:
    """Unpack values along the last axis, the low half of a byte first."""
    if bits == 8:
        return packed
    both = np.stack([packed & 15, packed >> 4], axis=-1)
    return both.reshape(*packed.shape[:-1], -1)


def read_initializer(tensor: TensorProto, folder: Path) -> Array:
    """Map the tensor's bytes in its data file into memory; read those in the graph itself."""
    if tensor.data_location != TensorProto.EXTERNAL:
        return numpy_helper.to_array(tensor)
    place = ExternalDataInfo(tensor)
    dtype = helper.tensor_dtype_to_np_dtype(tensor.data_type)
    shape, offset = tuple(tensor.dims), int(place.offset or 0)  # type: ignore[redundant-expr]
    mapped: Array = np.memmap(folder / place.location, dtype, "r", offset, shape)
    return mapped


def from_expansion(expansion: Expansion, expanded: Path) -> Iterator[StoredWeight]:
    """Yield every weight of an expanded file."""
    return (read() for read in weights_of_expansion(expansion, expanded).values())


def weights_of_expansion(
    expansion: Expansion, expanded: Path
) -> dict[str, Callable[[], StoredWeight]]:
    """Return {name: what reads it} of every weight of an expanded file."""
    return {entry["name"]: partial(_expanded, entry, expanded) for entry in expansion["weights"]}


def _expanded(entry: EncodedWeightRecord, expanded: Path) -> StoredWeight:
    shape = tuple(entry["shape"])
    values: Array = np.memmap(expanded, "<f4", mode="r", offset=entry["at"], shape=shape)
    bits = {"float32": 32, "float16": 16}.get(entry["layout"]) or int(entry["bits"])
    groups = None
    if bits < 16:
        rows = values if entry["axis"] == 1 else values.T
        block = entry.get("block") or rows.shape[1]
        missing = -rows.shape[1] % block
        groups = np.pad(rows, ((0, 0), (0, missing))).reshape(-1, block)
    return StoredWeight(entry["name"], values, bits, groups)
