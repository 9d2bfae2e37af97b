"""Inputs, outputs and data files of an ONNX file that anyone wrote, from its graph."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import onnx

from oriel.errors import GraphError, reason_of
from oriel.graph.external_data import external_files
from oriel.proof.artifact import Port


def onnx_ports(file: Path) -> tuple[list[Port], list[Port]]:
    """Return inputs and outputs. Raises GraphError for a file that is no ONNX graph or has inputs
    that are no tensors."""
    graph = _read(file).graph
    held = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in held]
    return _ports(inputs, file), _ports(graph.output, file)


def data_files(file: Path) -> list[Path]:
    """Return the files that hold its weights, each once. Raises GraphError for a file that is no
    ONNX graph, and for one with weights outside of its folder."""
    return [file.parent / name for name in external_files(_read(file), file.name)]


def _read(file: Path) -> onnx.ModelProto:
    try:
        return onnx.load(file, load_external_data=False)
    except Exception as error:
        # protobuf raises classes of its own for bytes that are no message.
        raise GraphError(f"{file.name} is no ONNX file", got=reason_of(error)) from error


def _ports(values: Iterable[onnx.ValueInfoProto], file: Path) -> list[Port]:
    ports = []
    for value in values:
        tensor = value.type.tensor_type
        if not value.type.HasField("tensor_type") or not tensor.HasField("shape"):
            raise GraphError(
                f"{value.name} of {file.name} is no tensor with a shape",
                expected="tensors alone among inputs and outputs",
            )
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        shape = tuple(
            size.dim_param or f"{value.name}_{axis}"
            if not size.HasField("dim_value")
            else size.dim_value
            for axis, size in enumerate(tensor.shape.dim)
        )
        ports.append(Port(value.name, str(dtype), shape))
    return ports
