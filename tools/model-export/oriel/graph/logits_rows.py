"""Logits of some positions only: the input num_logits_to_keep. The unembedding is the largest
product of a model, and whoever predicts the next token reads one row of it."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
from onnx import TensorProto, helper

from oriel.contract.activation_names import (
    NUM_LOGITS,
    ModelShape,
    input_specs,
    kinds,
)
from oriel.graph.finish_graph import describe

_SEQ_AXIS = 1
LAST_ROWS = f"{NUM_LOGITS}/start"
"""Name of the tensor that gives the first row of logits to compute, counted from the end."""


def slice_logits(model: ir.Model, shape: ModelShape) -> None:
    """Let the unembedding read the last num_logits_to_keep rows of final_norm, or all for 0. The
    head of an encoder, or of OPT-350M, has matrices before it, which read all rows: a kernel that
    rounds by the range of what it reads would else give a row other numbers beside others. Logits
    of whole texts have no rows, and the graph no such input."""
    if shape.pooled:
        return
    graph = model.graph
    norm = next(v for v in graph.outputs if v.name == kinds()["final_norm"].at())
    kept = ir.Value(name=NUM_LOGITS)
    describe(kept, next(s for s in input_specs(shape, "decoder") if s.name == NUM_LOGITS))
    graph.inputs.append(kept)
    _put_norm_on_path(norm)
    has_head = shape.bidirectional or shape.post_norm
    whole = _before_unembedding(graph) if has_head else norm
    # A Reshape in between gives sizes of all rows.
    while len(readers := list(whole.uses())) == 1 and readers[0].node.op_type == "Reshape":
        whole = readers[0].node.outputs[0]
    assert readers, "nothing reads final_norm"
    numbers = {"row": -1, "end": np.iinfo(np.int64).max, "axis": _SEQ_AXIS}
    constants = {}
    for name, number in numbers.items():
        tensor = ir.tensor(np.array([number], dtype=np.int64), name=f"{NUM_LOGITS}/{name}")
        value = ir.Value(name=tensor.name, const_value=tensor, type=ir.TensorType(tensor.dtype))
        graph.register_initializer(value)
        constants[name] = value
    # A start of -n is the n-th row from the end, and -0 the first; one before all rows is that too.
    flat = ir.node("Reshape", [kept, constants["row"]])
    start = ir.node("Neg", [flat.outputs[0]])
    # taps.py leaves the cut out by this name.
    start.outputs[0].name = LAST_ROWS
    part = ir.node("Slice", [whole, start.outputs[0], constants["end"], constants["axis"]])
    part.outputs[0].dtype = ir.DataType.FLOAT
    for node in (flat, start, part):
        graph.insert_before(readers[0].node, node)
    for use in readers:
        use.node.replace_input_with(use.idx, part.outputs[0])


def _before_unembedding(graph: ir.Graph) -> ir.Value:
    """Return what the product that logits are made of multiplies with the unembedding."""
    node = next(v for v in graph.outputs if v.name == kinds()["logits"].at()).producer()
    while node is not None and node.op_type != "MatMul":
        before = node.inputs[0]
        node = None if before is None else before.producer()
    assert node is not None and node.inputs[0] is not None, "no matrix gives the logits"
    return node.inputs[0]


def _put_norm_on_path(norm: ir.Value) -> None:
    """Let the head read final_norm where it is a copy of the last resid_post, which is normed."""
    copy = norm.producer()
    if norm.uses() or copy is None or copy.op_type != "Identity":
        return
    source = copy.inputs[0]
    assert source is not None
    for use in list(source.uses()):
        if use.node is not copy:
            use.node.replace_input_with(use.idx, norm)


def give_default(model: onnx.ModelProto) -> None:
    """Let a caller leave num_logits_to_keep out, which then is 0: an initializer of an input's name
    is its default. Optimum feeds no such input and refuses a graph that requires it; ONNX Runtime
    Web doesn't list inputs that have a default, and so computes all rows."""
    asked = any(value.name == NUM_LOGITS for value in model.graph.input)
    if asked and all(tensor.name != NUM_LOGITS for tensor in model.graph.initializer):
        default = helper.make_tensor(NUM_LOGITS, TensorProto.INT64, [], [0])
        model.graph.initializer.append(default)


def drop_default(model: onnx.ModelProto) -> None:
    """Make num_logits_to_keep an input that every caller must feed, on the web too."""
    kept = [tensor for tensor in model.graph.initializer if tensor.name != NUM_LOGITS]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
