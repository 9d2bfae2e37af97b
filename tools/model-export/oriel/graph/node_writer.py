"""Collects nodes to append to a finished graph, and serializes them as a ModelProto that merges
with the graph when its bytes are appended."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from oriel.contract.activation_names import TensorSpec
from oriel.graph.taps import value_info


class NodeWriter:
    """Collects nodes whose output names start with a prefix that the graph doesn't use."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.nodes: list[onnx.NodeProto] = []
        self._numbers: dict[bytes, str] = {}

    def put(
        self,
        operator: str,
        inputs: Sequence[str],
        **attributes: int | str | list[int] | onnx.TensorProto,
    ) -> str:
        """Add a node with one output; return the output's name."""
        # Names are short, and the node has none: a manifest lists such nodes for every layer.
        name = f"{self.prefix}{len(self.nodes)}"
        node = helper.make_node(operator, list(inputs), [name])
        for key, value in attributes.items():
            node.attribute.append(helper.make_attribute(key, value))
        self.nodes.append(node)
        return name

    def name(self, name: str, tensor: str) -> None:
        """Rename a tensor that a node of this writer computes."""
        for node in self.nodes:
            for names in (node.input, node.output):
                for at, old in enumerate(names):
                    if old == tensor:
                        names[at] = name

    def numbers(self, value: object, dtype: type[np.generic] = np.int64) -> str:
        """Return the name of a constant. Equal constants are added once."""
        tensor = numpy_helper.from_array(np.array(value, dtype))
        key = tensor.SerializeToString(deterministic=True)
        if key not in self._numbers:
            self._numbers[key] = self.put("Constant", [], value=tensor)
        return self._numbers[key]

    def floats(self, name: str) -> str:
        """Add a cast of a tensor to float32; return the name of the result."""
        return self.put("Cast", [name], to=TensorProto.FLOAT)

    def appended(self, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> bytes:
        """Return the bytes that add the nodes and these inputs and outputs to a graph."""
        # ir_version and opset stay unset, since set fields would replace the graph's.
        addition = onnx.ModelProto()
        addition.graph.node.extend(self.nodes)
        addition.graph.input.extend(value_info(spec) for spec in inputs)
        addition.graph.output.extend(value_info(spec) for spec in outputs)
        return bytes(addition.SerializeToString(deterministic=True))
