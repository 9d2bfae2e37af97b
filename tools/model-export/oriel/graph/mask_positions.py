"""Positions of a bidirectional model's tokens, counted from the mask inside of the graph: other
libraries feed an encoder no position_ids."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from oriel.contract.activation_names import TensorSpec

POSITIONS = "position_ids"


def position_spec() -> TensorSpec:
    """Return the specification of the input that a traced model reads positions from."""
    return TensorSpec(POSITIONS, "int64", ("batch_size", "sequence_length"))


def count_from_mask(model: ir.Model) -> None:
    """Replace the input position_ids by the number of the mask's ones before each token, (batch,
    seq); padding before a text has 0."""
    graph = model.graph
    inputs = {value.name: value for value in graph.inputs}
    mask, positions = inputs["attention_mask"], inputs[POSITIONS]
    numbers = {"axis": np.array(1), "one": np.array(1), "zero": np.array(0)}
    constants = {
        name: ir.node("Constant", [], attributes={"value": ir.tensor(number.astype(np.int64))})
        for name, number in numbers.items()
    }
    axis, one, zero = (node.outputs[0] for node in constants.values())
    seen = ir.node("CumSum", [mask, axis])
    before = ir.node("Sub", [seen.outputs[0], one])
    counted = ir.node("Max", [before.outputs[0], zero])
    first = graph[0]
    for node in (*constants.values(), seen, before, counted):
        graph.insert_before(first, node)
    positions.replace_all_uses_with(counted.outputs[0])
    graph.inputs.remove(positions)
