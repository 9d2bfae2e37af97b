"""Extension of a graph of two traced layers to one of N: both must be the same up to their names,
and then the second one is copied. The first may include nodes that all layers share; the second has
only its own."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx_ir as ir

from oriel.tracing.layers import STREAM_IN, TRACED_LAYERS, LayersDiffer, stream_after

_FIRST, _LAST = range(TRACED_LAYERS)


def repeat_layers(model: ir.Model, blocks: str, layers: int) -> None:
    """Extend `model`, in place, from TRACED_LAYERS layers to `layers`.

    Its outputs have STREAM_IN and stream_after of each traced layer among them.
    blocks: path of the block list, as in parameter names (`transformer.h`).
    Raises LayersDiffer, leaving the model as it was, where the two layers differ.
    """
    graph = model.graph
    last = _LAST
    owned = _nodes_by_layer(graph, TRACED_LAYERS)
    names = _LayerNames(blocks)
    _check_alike(graph, set(owned[last]), names)

    template = owned[last]
    inside = {value for node in template for value in node.outputs}
    values = _values_by_name(graph)
    stream_in, stream_out = values[stream_after(last - 1)], values[stream_after(last)]
    tail_uses = [(use.node, use.idx) for use in stream_out.uses() if use.node not in set(template)]

    given = [v for v in graph.outputs if v in inside]
    stream = stream_out
    for layer in range(TRACED_LAYERS, layers):
        mapping: dict[ir.Value, ir.Value] = {stream_in: stream}
        for node in template:
            copied = _copy_node(node, mapping, inside, names, graph, layer)
            graph.append(copied)
            for old, new in zip(node.outputs, copied.outputs, strict=True):
                mapping[old] = new
                new.name = names.renamed(old.name or "", last, layer)
                new.type, new.shape = old.type, old.shape
        for value in given:
            graph.outputs.append(mapping[value])
        stream = mapping[stream_out]
    for node, index in tail_uses:
        node.replace_input_with(index, stream)
    graph.sort()


class _LayerNames:
    """Names of a layer's tensors, which contain the layer's number."""

    def __init__(self, blocks: str) -> None:
        self.blocks = blocks

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
    """Return for each layer the nodes that its outputs need and no earlier layer's do, in the
    graph's order."""
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


def _check_alike(graph: ir.Graph, owned: set[ir.Node], names: _LayerNames) -> None:
    """Compare the last layer with the first, back from every output of both; LayersDiffer where
    they differ."""
    outputs = {v.name or "": v for v in graph.outputs}
    ours = {name for name in outputs if names.of_layer(name, _LAST)}
    theirs = {name for name in outputs if names.of_layer(name, _FIRST)}
    if {names.renamed(name, _LAST, _FIRST) for name in ours} != theirs:
        raise LayersDiffer("one captures what the other doesn't")
    waiting: list[tuple[ir.Value | None, ir.Value | None]] = [
        (outputs[name], outputs[names.renamed(name, _LAST, _FIRST)]) for name in sorted(ours)
    ]
    partner: dict[ir.Value, ir.Value] = {}
    while waiting:
        x, y = waiting.pop()
        if x is None or y is None:
            if x is not y:
                raise LayersDiffer("an input that only one has")
            continue
        if x in partner:
            if partner[x] is not y:
                raise LayersDiffer(f"{x.name} stands for two tensors")
            continue
        partner[x] = y
        a, b = x.producer(), y.producer()
        if a is None or a not in owned:
            if not _corresponds(x, y, names):
                raise LayersDiffer(f"inputs: {x.name} against {y.name}")
            continue
        if b is None or (a.domain, a.op_type, len(a.inputs)) != (
            b.domain,
            b.op_type,
            len(b.inputs),
        ):
            raise LayersDiffer(f"{a.op_type} against {b and b.op_type}")
        if x.index() != y.index() or not _same_attributes(a, b):
            raise LayersDiffer(f"attributes of {a.op_type}")
        waiting.extend(zip(a.inputs, b.inputs, strict=True))


def _same_attributes(a: ir.Node, b: ir.Node) -> bool:
    one, other = ir.serde.serialize_node(a), ir.serde.serialize_node(b)
    return bool(one.attribute == other.attribute)


def _corresponds(x: ir.Value, y: ir.Value, names: _LayerNames) -> bool:
    """Return whether `x`, which the last layer reads from outside, corresponds to the first layer's
    `y`."""
    x_name, y_name = x.name or "", y.name or ""
    if x_name == stream_after(_FIRST):
        return y_name == STREAM_IN
    if x is y:
        # Shared by both, such as the mask. A tensor with a layer's number in its name can't be
        # shared.
        return not (names.of_layer(x_name, _LAST) or names.of_layer(x_name, _FIRST))
    if x.const_value is not None and y.const_value is not None:
        a, b = x.const_value.numpy(), y.const_value.numpy()
        return a.dtype == b.dtype and a.shape == b.shape and bool(np.array_equal(a, b))
    both_free = x.producer() is None and y.producer() is None
    its_own = names.of_layer(x_name, _LAST) and names.renamed(x_name, _LAST, _FIRST) == y_name
    return both_free and its_own


def _copy_node(
    node: ir.Node,
    mapping: dict[ir.Value, ir.Value],
    inside: set[ir.Value],
    names: _LayerNames,
    graph: ir.Graph,
    layer: int,
) -> ir.Node:
    """Copy a node of the last traced layer for another one."""
    inputs: list[ir.Value | None] = []
    for value in node.inputs:
        if value is not None and value not in mapping:
            assert value not in inside
            mapping[value] = value
            if value.producer() is None and names.of_layer(value.name or "", _LAST):
                mapping[value] = _copy_input(value, names.renamed(value.name or "", _LAST, layer))
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
        name=f"{node.name}/{layer}" if node.name else None,
    )


def _copy_input(value: ir.Value, name: str) -> ir.Value:
    return ir.Value(name=name, type=value.type, shape=value.shape)
