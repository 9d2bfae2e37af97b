"""The plain graph from the decoder graph: no cache, no padding, the same activations. Cutting the
finished graph is several times faster than tracing the model again."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from onnxscript import optimizer

from oriel.contract.activation_names import (
    ModelShape,
    cache_output_specs,
    input_specs,
    past_name,
)
from oriel.graph.mask_positions import POSITIONS
from oriel.graph.unexpected_graph import UnexpectedGraph


def cut_to_plain(decoder: ir.Model, shape: ModelShape) -> ir.Model:
    """Return a copy without past, present and mask, whose positions count from 0."""
    model = decoder.clone()
    graph = model.graph
    inputs = {value.name: value for value in graph.inputs}
    present = {spec.name for spec in cache_output_specs(shape)}
    for value in [v for v in graph.outputs if v.name in present]:
        graph.outputs.remove(value)
        value.name = f"{value.name}/all"
    for layer in range(0 if shape.bidirectional else shape.layers):
        for past in (inputs[past_name(layer, "key")], inputs[past_name(layer, "value")]):
            _cut_past(graph, past, inputs["input_ids"], shape)
    mask = inputs["attention_mask"]
    for use in list(mask.uses()):
        if use.node.op_type == "Shape":
            # Without a past it has the size of the tokens.
            use.node.replace_input_with(use.idx, inputs["input_ids"])
    if shape.pooled:
        _fill_pooling(graph, mask, inputs["input_ids"])
    if not mask.uses():
        raise UnexpectedGraph("attention_mask isn't read")
    _cut_operand(graph, mask, "And")
    _count_positions(graph, inputs[POSITIONS], inputs["input_ids"])
    if shape.token_types:
        types = inputs["token_type_ids"]
        types.replace_all_uses_with(_filled(graph, 0, inputs["input_ids"]))
    kept = {spec.name for spec in input_specs(shape, "plain")}
    # num_logits_to_keep comes into the decoder graph after this cut.
    for name in [*(spec.name for spec in input_specs(shape, "decoder")), POSITIONS]:
        if name not in kept and name in inputs:
            value = inputs.pop(name)
            if value.uses():
                raise UnexpectedGraph(f"{name} is still read")
            graph.inputs.remove(value)
    optimizer.optimize_ir(model)
    return model


def _cut_past(graph: ir.Graph, past: ir.Value, input_ids: ir.Value, shape: ModelShape) -> None:
    """Its only readers are a Concat with what is fed, and Shape, which asks for batch or length."""
    for use in list(past.uses()):
        node = use.node
        if node.op_type == "Concat" and len(node.inputs) == 2 and node.inputs[0] is past:
            fed = node.inputs[1]
            assert fed is not None
            _replace(graph, node, fed)
        elif node.op_type == "Shape":
            _replace_shape(graph, node, input_ids, shape)
        else:
            raise UnexpectedGraph(f"{past.name} is read by {node.op_type}")


def _replace_shape(graph: ir.Graph, node: ir.Node, input_ids: ir.Value, shape: ModelShape) -> None:
    """Shape of (batch, kv_heads, 0, head_dim), cut to [start, end)."""
    start = node.attributes["start"].as_int() if "start" in node.attributes else 0
    end = node.attributes["end"].as_int() if "end" in node.attributes else 4
    sizes = (None, shape.kv_heads, 0, shape.head_dim)
    parts: list[ir.Value] = []
    for size in sizes[start:end]:
        if size is None:
            made = ir.node("Shape", [input_ids], attributes={"start": 0, "end": 1})
        else:
            value = ir.tensor(np.array([size], dtype=np.int64))
            made = ir.node("Constant", [], attributes={"value": value})
        graph.insert_before(node, made)
        parts.append(made.outputs[0])
    joined = parts[0]
    if len(parts) > 1:
        concat = ir.node("Concat", parts, attributes={"axis": 0})
        graph.insert_before(node, concat)
        joined = concat.outputs[0]
    _replace(graph, node, joined)


def _cut_operand(graph: ir.Graph, operand: ir.Value, op_type: str) -> None:
    """Follow an input through what only reshapes or casts it to the operators it goes into, one for
    each kind of mask, and take their other operands instead."""
    for use in list(operand.uses()):
        node = use.node
        if node.op_type in ("Unsqueeze", "Reshape", "Cast"):
            _cut_operand(graph, node.outputs[0], op_type)
            graph.remove(node, safe=True)
        elif node.op_type == op_type:
            other = node.inputs[1 - use.idx]
            assert other is not None
            _replace(graph, node, other)
        else:
            raise UnexpectedGraph(f"{operand.name} is read by {node.op_type}")


def _count_positions(graph: ir.Graph, positions: ir.Value, input_ids: ir.Value) -> None:
    """Let whoever read position_ids read 0, 1, …, seq - 1, of shape (1, seq)."""
    size = ir.node("Shape", [input_ids], attributes={"start": 1, "end": 2})
    constants = {
        name: ir.node("Constant", [], attributes={"value": ir.tensor(np.array(value, np.int64))})
        for name, value in (("zero", 0), ("one", 1), ("axes", [0]))
    }
    zero, one, axes = (node.outputs[0] for node in constants.values())
    count = ir.node("Squeeze", [size.outputs[0]])
    numbers = ir.node("Range", [zero, count.outputs[0], one])
    row = ir.node("Unsqueeze", [numbers.outputs[0], axes])
    first = graph[0]
    for node in (size, *constants.values(), count, numbers, row):
        graph.insert_before(first, node)
    positions.replace_all_uses_with(row.outputs[0])


def _fill_pooling(graph: ir.Graph, mask: ir.Value, input_ids: ir.Value) -> None:
    """Let whatever makes numbers of the mask, and no mask of attention, read ones."""
    others = [use for use in mask.uses() if not _leads_to(use.node, "And")]
    ones = _filled(graph, 1, input_ids)
    for use in others:
        use.node.replace_input_with(use.idx, ones)


def _leads_to(node: ir.Node, op_type: str) -> bool:
    """Return whether an operator reads what a node gives, but for reshaping and casting."""
    if node.op_type not in ("Unsqueeze", "Reshape", "Cast"):
        return node.op_type == op_type
    return any(_leads_to(use.node, op_type) for use in node.outputs[0].uses())


def _filled(graph: ir.Graph, number: int, input_ids: ir.Value) -> ir.Value:
    """Return a tensor of the tokens' shape that holds this number everywhere."""
    size = ir.node("Shape", [input_ids])
    value = ir.tensor(np.full(1, number, dtype=np.int64))
    made = ir.node("ConstantOfShape", [size.outputs[0]], attributes={"value": value})
    first = graph[0]
    graph.insert_before(first, size)
    graph.insert_before(first, made)
    return made.outputs[0]


def _replace(graph: ir.Graph, node: ir.Node, value: ir.Value) -> None:
    """Everyone who read the node reads `value` instead; a contract name moves with it."""
    old = node.outputs[0]
    outputs = list(graph.outputs)
    if old in outputs:
        if value in outputs or value in set(graph.inputs):
            copy = ir.node("Identity", [value])
            graph.insert_before(node, copy)
            value = copy.outputs[0]
        graph.outputs[outputs.index(old)] = value
        value.name, old.name = old.name, f"{old.name}/cut"
    old.replace_all_uses_with(value)
    graph.remove(node, safe=True)
