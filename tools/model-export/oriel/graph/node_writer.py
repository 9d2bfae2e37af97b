"""Collects nodes to append to a finished graph, and writes them as the bytes of a ModelProto, which
merges with the one that it is put behind."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from oriel.contract.activation_names import TensorSpec
from oriel.graph.taps import value_info


class NodeWriter:
    """Collects nodes under a prefix that no other name of the graph has."""

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
        """Add a node of one output; return the output's name."""
        # Short, and no name for the node: a manifest lists such nodes for every layer.
        name = f"{self.prefix}{len(self.nodes)}"
        node = helper.make_node(operator, list(inputs), [name])
        for key, value in attributes.items():
            node.attribute.append(helper.make_attribute(key, value))
        self.nodes.append(node)
        return name

    def name(self, name: str, tensor: str) -> None:
        """Give a tensor that a node of this writer computes another name in place of its own."""
        for node in self.nodes:
            for names in (node.input, node.output):
                for at, old in enumerate(names):
                    if old == tensor:
                        names[at] = name

    def numbers(self, value: object, dtype: type[np.generic] = np.int64) -> str:
        """Return the name of a constant; alike ones are one."""
        tensor = numpy_helper.from_array(np.array(value, dtype))
        key = tensor.SerializeToString(deterministic=True)
        if key not in self._numbers:
            self._numbers[key] = self.put("Constant", [], value=tensor)
        return self._numbers[key]

    def floats(self, name: str) -> str:
        """Return the name of a tensor as float32."""
        return self.put("Cast", [name], to=TensorProto.FLOAT)

    def appended(self, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> bytes:
        """Return the bytes that add the nodes, these inputs and these outputs to a graph."""
        # No ir_version, no opset: only what is to be added may be set.
        addition = onnx.ModelProto()
        addition.graph.node.extend(self.nodes)
        addition.graph.input.extend(value_info(spec) for spec in inputs)
        addition.graph.output.extend(value_info(spec) for spec in outputs)
        return bytes(addition.SerializeToString(deterministic=True))
