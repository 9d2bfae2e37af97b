"""Builds the static graph from the open graph: keys and values lie in buffers of a fixed length,
and each call writes its tokens at their slots. No shape depends on the length of the text, so a GPU
can record a step once and replay it, and write the cache in place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import onnx
from onnx import TensorProto, helper

from oriel.contract.activation_names import (
    CACHE_POSITION,
    NUM_LOGITS,
    ModelShape,
    TensorSpec,
    activation_spec,
    cache_output_specs,
    fixed_cache,
    input_specs,
    joint_specs,
    past_name,
)
from oriel.errors import OptionError
from oriel.graph.built_graph import BuiltGraph, set_outputs
from oriel.graph.graph_document import make_document, write_document
from oriel.graph.logits_rows import LAST_ROWS
from oriel.graph.taps import value_info
from oriel.graph.unexpected_graph import UnexpectedGraph
from oriel.graph.unread_nodes import drop_unread

_MADE = "static_cache"
_SLOTS, _FED, _SEEN = f"{_MADE}/slots", f"{_MADE}/fed", f"{_MADE}/seen"
_BETWEEN = ("Cast", "Reshape", "Squeeze", "Unsqueeze")
"""Operators that may lie between the mask or the past's length and the nodes that use it."""


@dataclass
class _Rewrite:
    """A graph that is being rewritten, with its new nodes."""

    graph: onnx.GraphProto
    shape: ModelShape
    length: int
    readers: dict[str, list[onnx.NodeProto]]
    before: list[onnx.NodeProto] = field(default_factory=list)
    """New nodes that depend only on the graph's inputs."""
    replaced: dict[str, list[onnx.NodeProto]] = field(default_factory=dict)
    """{tensor: nodes that replace the node which computed it}."""
    renamed: dict[str, str] = field(default_factory=dict)
    """{tensor: name of the tensor that replaces it}."""

    def integers(self, name: str, values: list[int], element: int = TensorProto.INT64) -> str:
        """Add a one-dimensional constant unless it exists; return its name."""
        full = f"{_MADE}/{name}"
        if all(tensor.name != full for tensor in self.graph.initializer):
            self.graph.initializer.append(helper.make_tensor(full, element, [len(values)], values))
        return full

    def number(self, name: str, value: int, element: int = TensorProto.INT64) -> str:
        """Add a scalar constant; return its name."""
        full = f"{_MADE}/{name}"
        self.graph.initializer.append(helper.make_tensor(full, element, [], [value]))
        return full

    def make(self, operator: str, inputs: list[str], output: str, to: int | None = None) -> str:
        """Add a node that depends only on the graph's inputs; return the name of its output."""
        name = f"{_MADE}/{operator}_{len(self.before)}"
        node = helper.make_node(operator, inputs, [output], name)
        if to is not None:
            node.attribute.append(helper.make_attribute("to", to))
        self.before.append(node)
        return output


def check_length(length: int, shape: ModelShape) -> None:
    """Raise OptionError if the length is not between 1 and the model's context length, or the model
    has a window or no cache."""
    if shape.bidirectional:
        raise OptionError(
            "--static-cache can't be used with a model that has no cache",
            got="a model whose tokens see those after them",
            next_step="leave --static-cache out.",
        )
    if not 1 <= length <= shape.context_length:
        raise OptionError(
            "--static-cache can't be used",
            got=f"{length} tokens",
            expected=f"1 to {shape.context_length}, the model's context",
            next_step="name another length, or leave it out for no static graph.",
        )
    _check_sees_all(shape)


def _check_sees_all(shape: ModelShape) -> None:
    """Raise OptionError for a window: the mask of slots would let tokens see what is before it."""
    windows = {shape.at(layer).window for layer in range(shape.layers)} - {0}
    if windows:
        raise OptionError(
            "--static-cache can't be used with a model whose tokens see a window alone",
            got=f"a window of {min(windows)} tokens",
            expected="a model whose tokens see all tokens before them",
            next_step="leave --static-cache out.",
        )


def fix_cache(open_graph: BuiltGraph, length: int) -> BuiltGraph:
    """Return the open graph with a cache of `length` slots, in tokens.

    It keeps the open graph's weights, joints and taps. Raises OptionError if the length exceeds the
    model's context, GraphError if the graph has an unknown form.
    """
    model = onnx.ModelProto()
    model.CopyFrom(open_graph.model)
    shape = ModelShape.from_json(open_graph.document["model"])
    check_length(length, shape)
    graph = model.graph
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    rewrite = _Rewrite(graph, shape, length, readers)
    _make_slots(rewrite)
    _write_at_slots(rewrite)
    _fix_lengths(rewrite)
    _replace_mask(rewrite)
    last = rewrite.integers("last", [-1])
    rewrite.renamed[LAST_ROWS] = last
    _apply(rewrite)
    _fix_ports(graph, shape, length)
    logits = activation_spec("logits", shape)
    assert logits is not None
    outputs = [logits, *cache_output_specs(shape)]
    set_outputs(model, [fixed_cache(spec, length) for spec in outputs])
    graph.name = "oriel_static"
    document = make_document("static", shape, outputs, joint_specs(shape), cache_length=length)
    write_document(model, document)
    return BuiltGraph(model, document)


def _make_slots(rewrite: _Rewrite) -> None:
    """Compute the slots that the call writes, (1, 1, seq, 1), and which slots each row of attention
    may read, (batch, 1, 1, length), both int32, which every GPU supports."""
    narrow = rewrite.make("Cast", [CACHE_POSITION], f"{_MADE}/narrow", to=TensorProto.INT32)
    axes = rewrite.integers("query_axes", [0, 1, 3])
    rewrite.make("Unsqueeze", [narrow, axes], _FED)
    ends = [
        rewrite.number(name, value, TensorProto.INT32)
        for name, value in (("first", 0), ("end", rewrite.length), ("step", 1))
    ]
    row = rewrite.make("Range", ends, f"{_MADE}/row")
    slots = rewrite.make("Unsqueeze", [row, rewrite.integers("key_axes", [0, 1, 2])], _SLOTS)
    mask = rewrite.make("Cast", ["attention_mask"], f"{_MADE}/mask", to=TensorProto.INT32)
    inner = rewrite.integers("mask_axes", [1, 2])
    wide = rewrite.make("Unsqueeze", [mask, inner], f"{_MADE}/wide_mask")
    hidden = rewrite.make("Equal", [wide, ends[0]], f"{_MADE}/hidden")
    # Slots of padding and empty slots get a number larger than any position.
    seen = rewrite.make("Where", [hidden, ends[1], slots], f"{_MADE}/numbered")
    rewrite.make("LessOrEqual", [seen, _FED], _SEEN)


def _write_at_slots(rewrite: _Rewrite) -> None:
    """Replace each Concat of a past with new keys or values by a Scatter into the past."""
    shapes: dict[tuple[int | str, ...], str] = {}
    order = {node.output[0]: index for index, node in enumerate(rewrite.graph.node)}
    found: list[tuple[TensorSpec, onnx.NodeProto]] = []
    for spec in cache_output_specs(rewrite.shape):
        _, layer, part = spec.name.split(".")
        assert part in ("key", "value")
        past = past_name(int(layer), "key" if part == "key" else "value")
        found.append((spec, _joined(rewrite, past)))
    # The first of a shape computes the indices of all, and must come before the others.
    for spec, joined in sorted(found, key=lambda pair: order[pair[1].output[0]]):
        past, fed = joined.input
        indices = shapes.get(spec.shape)
        nodes = []
        if indices is None:
            indices = shapes[spec.shape] = f"{_MADE}/at_{spec.name}"
            size = f"{indices}/shape"
            nodes = [
                helper.make_node("Shape", [fed], [size], size),
                helper.make_node("Expand", [_FED, size], [indices], indices),
            ]
        (out,) = joined.output
        written = helper.make_node(
            "ScatterElements", [past, indices, fed], [out], f"{_MADE}/{spec.name}", axis=2
        )
        rewrite.replaced[out] = [*nodes, written]


def _joined(rewrite: _Rewrite, past: str) -> onnx.NodeProto:
    """Return the Concat of a past with the new keys or values, possibly after a Cast to float16."""
    name = past
    while True:
        nodes = [n for n in rewrite.readers.get(name, []) if n.op_type != "Shape"]
        if len(nodes) == 1 and nodes[0].op_type == "Cast":
            name = nodes[0].output[0]
        elif len(nodes) == 1 and nodes[0].op_type == "Concat" and nodes[0].input[0] == name:
            return nodes[0]
        else:
            raise UnexpectedGraph(f"{past} is read by {[n.op_type for n in nodes]}")


def _fix_lengths(rewrite: _Rewrite) -> None:
    """Replace the shapes that the graph reads from a past: the batch size comes from input_ids, and
    the total length is the cache's. Raises UnexpectedGraph if a shape is used in another way."""
    total = rewrite.number("length", rewrite.length)
    for source in _pasts(rewrite.shape):
        for node in rewrite.readers.get(source, []):
            if node.op_type != "Shape":
                continue
            start, end = (_attribute(node, "start", 0), _attribute(node, "end", 4))
            (out,) = node.output
            if (start, end) == (0, 1):
                batch = helper.make_node("Shape", ["input_ids"], [out], node.name, start=0, end=1)
                rewrite.replaced[out] = [batch]
            elif (start, end) == (2, 3):
                for sum_of_both in _sums(rewrite, out):
                    rewrite.renamed[sum_of_both] = total
            else:
                raise UnexpectedGraph(f"{source} is asked for sizes {start} to {end}")


def _pasts(shape: ModelShape) -> Iterator[str]:
    for layer in range(shape.layers):
        yield past_name(layer, "key")
        yield past_name(layer, "value")


def _sums(rewrite: _Rewrite, length: str) -> list[str]:
    """Return the tensors that hold the past's length plus the number of new tokens."""
    producers = {name: node for node in rewrite.graph.node for name in node.output}
    found = []
    for node in _readers_behind(rewrite, length):
        if node.op_type != "Add":
            continue
        others = [_source(producers, name) for name in node.input]
        asked = [n for n in others if n is not None and n.op_type == "Shape"]
        if len(asked) == 2:
            found.append(node.output[0])
    return found


def _source(producers: dict[str, onnx.NodeProto], name: str) -> onnx.NodeProto | None:
    node = producers.get(name)
    while node is not None and node.op_type in _BETWEEN:
        node = producers.get(node.input[0])
    return node


def _replace_mask(rewrite: _Rewrite) -> None:
    """Replace the combination of causal mask and padding by the mask of the slots that a row may
    read."""
    # What asks for its size has no reader without the causal mask, or is told of in the end.
    joined = [
        node
        for node in _readers_behind(rewrite, "attention_mask")
        if node.op_type not in (*_BETWEEN, "Shape")
    ]
    if len(joined) != 1 or joined[0].op_type != "And":
        raise UnexpectedGraph(f"attention_mask is read by {[n.op_type for n in joined]}")
    rewrite.renamed[joined[0].output[0]] = _SEEN


def _readers_behind(rewrite: _Rewrite, name: str) -> list[onnx.NodeProto]:
    """Return the nodes that read a tensor, directly or after a reshape or cast."""
    found = []
    for node in rewrite.readers.get(name, []):
        found.append(node)
        if node.op_type in _BETWEEN:
            found += _readers_behind(rewrite, node.output[0])
    return found


def _attribute(node: onnx.NodeProto, name: str, default: int) -> int:
    found = [entry.i for entry in node.attribute if entry.name == name]
    return int(found[0]) if found else default


def _apply(rewrite: _Rewrite) -> None:
    """Insert the new nodes, and remove nodes whose outputs nothing reads any more."""
    graph = rewrite.graph
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend(rewrite.before)
    for node in nodes:
        for index, name in enumerate(node.input):
            node.input[index] = rewrite.renamed.get(name, name)
        graph.node.extend(rewrite.replaced.get(node.output[0] if node.output else "", [node]))
    drop_unread(graph, rewrite.renamed)
    left = {name for node in graph.node for name in node.input if node.op_type == "Shape"}
    wrong = sorted(left & {*_pasts(rewrite.shape), "attention_mask"})
    if wrong:
        raise UnexpectedGraph(f"the length of {wrong[0]} is still read")


def _fix_ports(graph: onnx.GraphProto, shape: ModelShape, length: int) -> None:
    """Declare the inputs that the contract lists for a static graph, in its order."""
    given = {value.name: value for value in graph.input}
    ours = {spec.name: spec for spec in input_specs(shape, "static")}
    others = [v for name, v in given.items() if name not in ours and name != NUM_LOGITS]
    del graph.input[:]
    graph.input.extend(value_info(fixed_cache(spec, length)) for spec in ours.values())
    graph.input.extend(others)
