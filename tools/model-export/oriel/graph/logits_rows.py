"""Logits of some positions only: the interactive graph's input logits_start. The unembedding is the
largest product of a model, and whoever predicts the next token reads one row of it."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from oriel.contract.activation_names import (
    LOGITS_START,
    ModelShape,
    input_specs,
    kinds,
)
from oriel.graph.finish_graph import describe

_SEQ_AXIS = 1


def slice_logits(model: ir.Model, shape: ModelShape) -> None:
    """Let the unembedding read the rows of final_norm from logits_start on."""
    graph = model.graph
    norm = next(v for v in graph.outputs if v.name == kinds()["final_norm"].at())
    start = ir.Value(name=LOGITS_START)
    describe(start, next(s for s in input_specs(shape, "interactive") if s.name == LOGITS_START))
    graph.inputs.insert(1, start)
    # A Reshape in between gives sizes of all rows.
    whole = norm
    while len(readers := list(whole.uses())) == 1 and readers[0].node.op_type == "Reshape":
        whole = readers[0].node.outputs[0]
    assert readers, "nothing reads final_norm"
    constants = []
    for name, number in (("end", np.iinfo(np.int64).max), ("axis", _SEQ_AXIS)):
        tensor = ir.tensor(np.array([number], dtype=np.int64), name=f"{LOGITS_START}/{name}")
        value = ir.Value(name=tensor.name, const_value=tensor, type=ir.TensorType(tensor.dtype))
        graph.register_initializer(value)
        constants.append(value)
    node = ir.node("Slice", [whole, start, *constants])
    node.outputs[0].dtype = ir.DataType.FLOAT
    graph.insert_before(readers[0].node, node)
    for use in readers:
        use.node.replace_input_with(use.idx, node.outputs[0])
