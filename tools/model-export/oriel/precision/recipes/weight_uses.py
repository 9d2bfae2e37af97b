"""Uses of each weight in a graph: as a factor of a product, as a table whose rows are gathered, or
any other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import onnx
from onnx import TensorProto, helper

from oriel.contract.activation_names import kind_of


@dataclass(frozen=True)
class WeightUse:
    """The ways in which one weight is read."""

    shape: tuple[int, ...]
    axis: Literal[0, 1] | None
    """The axis of a matrix that is summed over (1 for a table that is only gathered). None for a
    weight that is no matrix, is a router's, or is read in a way that quantized kernels don't
    have."""
    gathered: bool = False
    """True if its rows are picked by Gather."""
    multiplied: bool = False
    """True if it is the second factor of a MatMul, as it is or transposed."""
    factors: tuple[str, ...] = ()
    """Names of the tensors that it is multiplied with, (…, summed)."""

    @property
    def quantizable(self) -> bool:
        return self.axis is not None


def weight_uses(graph: onnx.GraphProto) -> dict[str, WeightUse]:
    """Return the use of every weight: of every initializer that lies in a data file."""
    weights = {
        t.name: tuple(t.dims) for t in graph.initializer if t.data_location == TensorProto.EXTERNAL
    }
    readers: dict[str, list[tuple[onnx.NodeProto, int]]] = {}
    for node in graph.node:
        for index, name in enumerate(node.input):
            readers.setdefault(name, []).append((node, index))
    outputs = {value.name for value in graph.output}
    return {name: _use(name, shape, readers, outputs) for name, shape in weights.items()}


def _use(
    name: str,
    shape: tuple[int, ...],
    readers: dict[str, list[tuple[onnx.NodeProto, int]]],
    outputs: set[str],
) -> WeightUse:
    gathered, axes, factors = False, set[int | None](), list[str]()
    for node, index in readers.get(name, []):
        turned = node.op_type == "Transpose"
        for reader, place in readers.get(node.output[0], []) if turned else [(node, index)]:
            if reader.op_type == "MatMul" and place == 1:
                # A router that is rounded chooses other experts, and its matrix is small.
                routes = kind_of(reader.output[0]) == "router_logits"
                axes.add(None if routes else 1 if turned else 0)
                factors.append(reader.input[0])
            elif reader.op_type == "Gather" and place == 0 and not turned and _axis(reader) == 0:
                gathered = True
            else:
                axes.add(None)
        if turned and node.output[0] in outputs:
            axes.add(None)
    multiplied = bool(factors)
    if gathered:
        # Its rows must lie together, as the blocks of a row do where the rows are the channels.
        axes.add(1)
    known = len(shape) == 2 and len(axes) == 1 and name not in outputs
    axis = next(iter(axes)) if known else None
    assert axis in (0, 1, None)
    return WeightUse(shape, axis, gathered, multiplied, tuple(dict.fromkeys(factors)))  # type: ignore[arg-type]


def _axis(node: onnx.NodeProto) -> int:
    for attribute in node.attribute:
        if attribute.name == "axis":
            return int(helper.get_attribute_value(attribute))
    return 0
