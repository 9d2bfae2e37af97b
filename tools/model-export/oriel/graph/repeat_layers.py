"""A graph of three traced layers turned into one of N: layers 1 and 2 must be the same up to their
names, and then the last one is copied."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx_ir as ir

from oriel.contract.activation_names import ModelShape


class LayersDiffer(Exception):
    """Two layers aren't the same graph: each must be traced."""


def repeat_layers(model: ir.Model, blocks: str, traced: int, shape: ModelShape) -> None:
    """Extend `model`, in place, from `traced` layers to shape.layers.

    blocks: path of the block list, as in parameter names (`transformer.h`).
    Raises LayersDiffer, leaving the model as it was, where the last two layers differ.
    """
    graph = model.graph
    last = traced - 1
    owned = _nodes_by_layer(graph, traced)
    names = _LayerNames(blocks)
    _check_alike(owned[last - 1], owned[last], last - 1, last, names)

    template = owned[last]
    inside = {value for node in template for value in node.outputs}
    values = _values_by_name(graph)
    stream_in, stream_out = values[names.stream(last - 1)], values[names.stream(last)]
    tail_uses = [(use.node, use.idx) for use in stream_out.uses() if use.node not in set(template)]

    given = [v for v in graph.outputs if v in inside]
    stream = stream_out
    for layer in range(traced, shape.layers):
        mapping: dict[ir.Value, ir.Value] = {stream_in: stream}
        for node in template:
            copied = _copy_node(node, mapping, inside, names, graph, last, layer)
            graph.append(copied)
            for old, new in zip(node.outputs, copied.outputs, strict=True):
                mapping[old] = new
                new.name = names.renamed(old.name or "", last, layer)
        for value in given:
            graph.outputs.append(mapping[value])
        stream = mapping[stream_out]
    for node, index in tail_uses:
        node.replace_input_with(index, stream)
    graph.sort()


class _LayerNames:
    """How a layer's number stands in the names of its tensors."""

    def __init__(self, blocks: str) -> None:
        self.blocks = blocks

    def stream(self, layer: int) -> str:
        return f"layer_{layer}_resid_post"

    def patterns(self, layer: int) -> tuple[str, ...]:
        return (
            f"{self.blocks}.{layer}.",
            f"layer_{layer}_",
            f"past_key_values.{layer}.",
            f"present.{layer}.",
        )

    def renamed(self, name: str, old: int, new: int) -> str:
        for before, after in zip(self.patterns(old), self.patterns(new), strict=True):
            if name.startswith(before):
                return after + name[len(before) :]
        return f"{name}/{new}"

    def of_layer(self, name: str, layer: int) -> bool:
        return name.startswith(self.patterns(layer))


def _values_by_name(graph: ir.Graph) -> dict[str, ir.Value]:
    values = {v.name: v for v in graph.inputs if v.name}
    values |= {v.name: v for node in graph for v in node.outputs if v.name}
    return values


def _nodes_by_layer(graph: ir.Graph, layers: int) -> list[list[ir.Node]]:
    """Nodes that a layer's outputs need and no earlier layer's do, in the graph's order."""
    seen: set[ir.Node] = set()
    order = list(graph)
    owned: list[list[ir.Node]] = []
    for layer in range(layers):
        marks = (f"layer_{layer}_", f"present.{layer}.")
        targets = [v for v in graph.outputs if (v.name or "").startswith(marks)]
        needed = _ancestors(targets) - seen
        seen |= needed
        owned.append([node for node in order if node in needed])
    return owned


def _ancestors(values: Iterable[ir.Value]) -> set[ir.Node]:
    found: set[ir.Node] = set()
    waiting = [v.producer() for v in values]
    while waiting:
        node = waiting.pop()
        if node is None or node in found:
            continue
        found.add(node)
        waiting.extend(v.producer() for v in node.inputs if v is not None)
    return found


def _check_alike(
    one: list[ir.Node], other: list[ir.Node], i: int, j: int, names: _LayerNames
) -> None:
    if len(one) != len(other):
        raise LayersDiffer(f"{len(one)} nodes against {len(other)}")
    partner: dict[ir.Value, ir.Value] = {}
    for a, b in zip(one, other, strict=True):
        if (a.domain, a.op_type, len(a.inputs)) != (b.domain, b.op_type, len(b.inputs)):
            raise LayersDiffer(f"{a.op_type} against {b.op_type}")
        if not _same_attributes(a, b):
            raise LayersDiffer(f"attributes of {a.op_type}")
        for x, y in zip(a.inputs, b.inputs, strict=True):
            if not _corresponds(x, y, partner, i, j, names):
                raise LayersDiffer(f"inputs of {a.op_type}: {x and x.name} against {y and y.name}")
        partner.update(zip(a.outputs, b.outputs, strict=True))


def _same_attributes(a: ir.Node, b: ir.Node) -> bool:
    one, other = ir.serde.serialize_node(a), ir.serde.serialize_node(b)
    return bool(one.attribute == other.attribute)


def _corresponds(
    x: ir.Value | None,
    y: ir.Value | None,
    partner: dict[ir.Value, ir.Value],
    i: int,
    j: int,
    names: _LayerNames,
) -> bool:
    if x is None or y is None:
        return x is y
    if x in partner:
        return partner[x] is y
    x_name, y_name = x.name or "", y.name or ""
    if x_name == names.stream(i - 1):
        return y_name == names.stream(j - 1)
    if x is y:
        # Shared by both: the mask, say. What bears one layer's number can't be shared.
        return not names.of_layer(x_name, i)
    if x.const_value is not None and y.const_value is not None:
        a, b = x.const_value.numpy(), y.const_value.numpy()
        return a.dtype == b.dtype and a.shape == b.shape and bool(np.array_equal(a, b))
    both_free = x.producer() is None and y.producer() is None
    return both_free and names.of_layer(x_name, i) and names.renamed(x_name, i, j) == y_name


def _copy_node(
    node: ir.Node,
    mapping: dict[ir.Value, ir.Value],
    inside: set[ir.Value],
    names: _LayerNames,
    graph: ir.Graph,
    old: int,
    new: int,
) -> ir.Node:
    inputs: list[ir.Value | None] = []
    for value in node.inputs:
        if value is not None and value not in mapping:
            assert value not in inside
            mapping[value] = value
            if value.producer() is None and names.of_layer(value.name or "", old):
                mapping[value] = _copy_input(value, names.renamed(value.name or "", old, new))
                graph.inputs.append(mapping[value])
        inputs.append(None if value is None else mapping[value])
    return ir.Node(
        node.domain,
        node.op_type,
        inputs,
        attributes=list(node.attributes.values()),
        num_outputs=len(node.outputs),
        overload=node.overload,
        version=node.version,
    )


def _copy_input(value: ir.Value, name: str) -> ir.Value:
    return ir.Value(name=name, type=value.type, shape=value.shape)
