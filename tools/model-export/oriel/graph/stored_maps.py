"""A lens pack's map of one layer: tensors that lie in the pack's file, and nodes that apply them to
the residual stream."""

from __future__ import annotations

from dataclasses import dataclass

import onnx
from onnx import TensorProto, helper

from oriel.graph.tensor_file import StoredTensor


@dataclass(frozen=True)
class StoredMap:
    """A layer's map: stream @ weight + bias, plus the stream if `residual` is true."""

    location: str
    """Path of the file, relative to the graph."""
    weight: StoredTensor
    """(hidden, hidden)"""
    bias: StoredTensor | None
    """(hidden)"""
    residual: bool


def map_nodes(
    stored: StoredMap, stream: str, prefix: str
) -> tuple[list[onnx.NodeProto], list[TensorProto], str]:
    """Return the nodes that apply a map to a stream, the tensors that they read, and the name of
    the result. Float16 tensors are cast to float32, the stream's type in every variant."""
    nodes: list[onnx.NodeProto] = []
    tensors: list[TensorProto] = []

    def read(part: str, tensor: StoredTensor) -> str:
        name = f"{prefix}{part}"
        tensors.append(external_tensor(name, tensor, stored.location))
        if tensor.dtype == "float32":
            return name
        nodes.append(add("Cast", [name], f"{part}_wide"))
        nodes[-1].attribute.append(helper.make_attribute("to", TensorProto.FLOAT))
        return f"{prefix}{part}_wide"

    def add(operator: str, inputs: list[str], output: str) -> onnx.NodeProto:
        name = f"{prefix}{output}/{operator}"
        return helper.make_node(operator, inputs, [f"{prefix}{output}"], name)

    nodes.append(add("MatMul", [stream, read("weight", stored.weight)], "product"))
    result = f"{prefix}product"
    if stored.bias is not None:
        nodes.append(add("Add", [result, read("bias", stored.bias)], "moved"))
        result = f"{prefix}moved"
    if stored.residual:
        nodes.append(add("Add", [stream, result], "mapped"))
        result = f"{prefix}mapped"
    return nodes, tensors, result


def external_tensor(name: str, stored: StoredTensor, location: str) -> TensorProto:
    """Return a tensor of a graph whose values lie in a file. location: the file's path, relative to
    the graph."""
    tensor = TensorProto(name=name, data_type=stored.element, data_location=TensorProto.EXTERNAL)
    tensor.dims.extend(stored.shape)
    for key, value in (
        ("location", location),
        ("offset", str(stored.offset)),
        ("length", str(stored.bytes)),
    ):
        tensor.external_data.add(key=key, value=value)
    return tensor
