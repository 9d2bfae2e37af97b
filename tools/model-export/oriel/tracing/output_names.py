"""Names of a traced graph's outputs."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir


def name_outputs(model: ir.Model, names: Sequence[str]) -> None:
    """Name the outputs, each a tensor of its own: where two names mean one tensor, the second is an
    Identity."""
    graph = model.graph
    outputs = list(graph.outputs)
    assert len(outputs) == len(names)
    graph.outputs.clear()
    taken: set[ir.Value] = set(graph.inputs)
    for value, name in zip(outputs, names, strict=True):
        if value in taken:
            copy_node = ir.node("Identity", [value])
            graph.append(copy_node)
            value = copy_node.outputs[0]
        value.name = name
        taken.add(value)
        graph.outputs.append(value)
