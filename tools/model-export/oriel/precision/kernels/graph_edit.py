"""Functions that every kernel family needs to rewrite a graph: initializers that lie in the encoded
file, and nodes that replace others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from oriel.arrays import Array
from oriel.graph.data_files import located
from oriel.precision.weights.encoded_layout import EncodedWeight

Attribute = int | float | str | Sequence[int] | ir.TensorProtocol
"""A node's attribute."""
CONTRIB = "com.microsoft"
"""Domain of ONNX Runtime's own operators, natively and on the web."""
_STORED = {
    "float32": ir.DataType.FLOAT,
    "float16": ir.DataType.FLOAT16,
    "uint8": ir.DataType.UINT8,
    "int8": ir.DataType.INT8,
}


@dataclass
class GraphEdit:
    """A graph whose weights are being replaced by encoded ones.

    A node that replaces another is named after it, so that the logit lens' nodes can still be
    recognized.
    """

    graph: ir.Graph
    location: str
    """The first encoded file, relative to the graph."""
    starts: tuple[int, ...] = (0,)
    """Offset at which each encoded file begins."""
    shared: dict[str, ir.Value] = field(default_factory=dict)
    """Outputs of nodes that several kernels read, by a key that the kernel chooses."""

    def stored(
        self, name: str, offset: int, shape: tuple[int, ...], kind: str = "uint8"
    ) -> ir.Value:
        """Return an initializer that lies in the encoded file; the same one for the same name."""
        known = self.graph.initializers.get(name)
        if known is not None and known.const_value is not None:
            return known
        dtype = _STORED[kind]
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(kind).itemsize
        file, at = located(self.location, self.starts, offset)
        tensor = ir.ExternalTensor(file, at, size, dtype, shape=ir.Shape(shape), name=name)
        return self._register(name, tensor)

    def constant(self, name: str, array: Array | np.generic) -> ir.Value:
        """Return a small initializer in the graph itself."""
        known = self.graph.initializers.get(name)
        if known is not None:
            return known
        return self._register(name, ir.Tensor(np.asarray(array), name=name))

    def _register(self, name: str, tensor: ir.TensorProtocol) -> ir.Value:
        value = ir.Value(
            name=name,
            const_value=tensor,
            type=ir.TensorType(tensor.dtype),
            shape=ir.Shape(tensor.shape.numpy()),
        )
        self.graph.register_initializer(value)
        return value

    def put(
        self,
        before: ir.Node,
        operator: str,
        inputs: list[ir.Value],
        name: str,
        domain: str = "",
        outputs: int = 1,
        **attributes: Attribute,
    ) -> tuple[ir.Value, ...]:
        """Insert a node right before another; return its outputs, which are named after `name`."""
        return self.insert(before, operator, inputs, name, attributes, domain, outputs)

    def insert(
        self,
        before: ir.Node,
        operator: str,
        inputs: list[ir.Value],
        name: str,
        attributes: Mapping[str, Attribute],
        domain: str = "",
        outputs: int = 1,
    ) -> tuple[ir.Value, ...]:
        """Do as put does, with attributes that a caller was given."""
        node = ir.node(
            operator,
            inputs,
            attributes=attributes,
            domain=domain,
            num_outputs=outputs,
            name=f"{name}/{operator}",
        )
        for index, value in enumerate(node.outputs):
            value.name = f"{name}/{operator}" + (f"_{index}" if index else "")
        self.graph.insert_before(before, node)
        return tuple(node.outputs)

    def at_start(self, operator: str, value: ir.Value, **attributes: Attribute) -> ir.Value:
        """Return the output of an operator on an initializer, computed at the graph's beginning;
        all callers share one node. ONNX Runtime computes it once, when a session is made."""
        key = f"{value.name}/{operator}"
        if key not in self.shared:
            assert value.name is not None
            (self.shared[key],) = self.insert(
                self.graph[0], operator, [value], value.name, attributes
            )
        return self.shared[key]

    def replace(self, node: ir.Node, value: ir.Value) -> None:
        """Replace the node's output by `value`, which takes its name, and remove the node."""
        old = node.outputs[0]
        name, old.name = old.name, f"{old.name}/float"
        value.name = name
        value.shape, value.type = old.shape, old.type
        old.replace_all_uses_with(value, replace_graph_outputs=True)
        self.graph.remove(node, safe=True)


def values_of(edit: GraphEdit, weight: EncodedWeight) -> ir.Value:
    """Return the weight's values as they lie in the file."""
    kinds = {"float32": "float32", "float16": "float16"}
    kind = kinds.get(weight.layout, "int8" if weight.signed else "uint8")
    return edit.stored(f"{weight.name}/values", weight.values, weight.values_shape, kind)


def scales_of(edit: GraphEdit, weight: EncodedWeight) -> ir.Value:
    """Return the weight's scales in float16, as they lie in the file."""
    assert weight.scales is not None
    return edit.stored(f"{weight.name}/scales", weight.scales, weight.scales_shape, "float16")


def wide_scales_of(edit: GraphEdit, weight: EncodedWeight) -> ir.Value:
    """Return the weight's scales in float32."""
    return edit.at_start("Cast", scales_of(edit, weight), to=int(ir.DataType.FLOAT))


def zero_points_of(edit: GraphEdit, weight: EncodedWeight) -> ir.Value | None:
    """Return the zero points as they lie in the file; None where each is the middle."""
    if weight.zero_points is None:
        return None
    return edit.stored(
        f"{weight.name}/zero_points", weight.zero_points, weight.zero_points_shape, "uint8"
    )
