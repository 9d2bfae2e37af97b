"""A graph that ONNX Runtime runs some nodes at a time, so that memory holds the weights of one part
and not of the whole model. Parts are cut by the bytes of their weights; they know no layers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
from onnx import TensorProto, helper

from oriel.arrays import Array

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, NodeArg, SessionOptions

WHOLE_BYTES = 1 << 30
"""Bytes of weights up to which a graph is run as a whole, which is faster."""
PART_BYTES = 1 << 28
"""Bytes of weights in a part, unless a single one has more."""


def runs_in_parts(graph: onnx.GraphProto) -> bool:
    """Return True for a graph with more weights than are held at once."""
    return sum(map(_bytes_of, graph.initializer)) > WHOLE_BYTES


def _bytes_of(tensor: TensorProto) -> int:
    # Two values of 4 bits may share a byte: more than it takes is no harm.
    item = int(helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
    return int(prod(tensor.dims)) * item


@dataclass(frozen=True)
class _Part:
    """Nodes that are run together."""

    nodes: tuple[onnx.NodeProto, ...]
    weights: frozenset[str]
    inputs: tuple[str, ...]
    """Names of what earlier parts or the caller give it."""
    outputs: tuple[str, ...]
    """Names of what later parts read, and of what is wanted."""


class GraphInParts:
    """A graph with the calls of an ONNX Runtime session, whose weights are mapped part by part each
    time that it is run."""

    def __init__(
        self,
        model: onnx.ModelProto,
        folder: Path,
        options: Callable[[bool], SessionOptions],
    ) -> None:
        """folder: of the data files. options: makes those of a part's session; False for weights
        that must not be copied into a kernel's own order."""
        self._model, self._folder, self._options = model, folder, options
        self._weights = {tensor.name: tensor for tensor in model.graph.initializer}
        self._plans: dict[tuple[tuple[str, ...], frozenset[str]], list[_Part]] = {}
        self._ends: InferenceSession | None = None

    def run(self, names: Sequence[str], feeds: Mapping[str, Array]) -> list[Array]:
        """Return the named tensors, of any node, for the graph's inputs by name. What feeds give of
        other tensors is taken in the place of what the graph computes."""
        found: dict[str, Array] = {}
        for given in self.run_all(names, [feeds]):
            found |= given[0]
        return [found[name] for name in names]

    def run_all(
        self, names: Sequence[str], every: Iterable[Mapping[str, Array]]
    ) -> Iterator[list[dict[str, Array]]]:
        """Yield for each part those of the named tensors that it gives: a mapping for each of the
        feeds. A part's weights are read once for all of them."""
        held = [dict(feeds) for feeds in every]
        parts = self._plan(tuple(names), frozenset(held[0]))
        for number, part in enumerate(parts):
            later = {name for other in parts[number + 1 :] for name in other.inputs}
            session = self._session(part, held[0])
            given: list[dict[str, Array]] = []
            for values in held:
                feeds = {name: values[name] for name in part.inputs}
                results = session.run(list(part.outputs), feeds) if part.outputs else []
                made = dict(zip(part.outputs, results, strict=True))
                given.append({name: made[name] for name in names if name in made})
                values |= {name: value for name, value in made.items() if name in later}
                for name in values.keys() - later:
                    del values[name]
            del session
            yield given

    def get_inputs(self) -> list[NodeArg]:
        """Return the graph's inputs, as a session does."""
        return list(self._whole().get_inputs())

    def get_outputs(self) -> list[NodeArg]:
        """Return the graph's outputs, as a session does."""
        return list(self._whole().get_outputs())

    def get_overridable_initializers(self) -> list[NodeArg]:
        """Return inputs with a default, as a session does."""
        return list(self._whole().get_overridable_initializers())

    def _whole(self) -> InferenceSession:
        """Return a session that runs nothing: its weights are mapped and never touched."""
        if self._ends is None:
            import onnxruntime

            options = self._options(False)
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
            self._ends = self._open(self._model, options)
        return self._ends

    def _session(self, part: _Part, values: Mapping[str, Array]) -> InferenceSession:
        model = onnx.ModelProto()
        model.ir_version = self._model.ir_version
        model.opset_import.extend(self._model.opset_import)
        graph = model.graph
        graph.name = self._model.graph.name or "part"
        graph.node.extend(part.nodes)
        graph.initializer.extend(self._weights[name] for name in sorted(part.weights))
        graph.input.extend(
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(values[name].dtype), None
            )
            for name in part.inputs
        )
        # Of no type: ONNX Runtime infers it, whatever operators there are.
        graph.output.extend(onnx.ValueInfoProto(name=name) for name in part.outputs)
        largest = max((_bytes_of(self._weights[name]) for name in part.weights), default=0)
        return self._open(model, self._options(largest <= PART_BYTES))

    def _open(self, model: onnx.ModelProto, options: SessionOptions) -> InferenceSession:
        import onnxruntime

        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", str(self._folder)
        )
        return onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def _plan(self, names: tuple[str, ...], given: frozenset[str]) -> list[_Part]:
        key = names, given
        if key not in self._plans:
            self._plans[key] = _cut(self._model.graph, names, given, self._weights)
        return self._plans[key]


def _cut(
    graph: onnx.GraphProto,
    names: Sequence[str],
    given: Collection[str],
    weights: Mapping[str, TensorProto],
) -> list[_Part]:
    """Return the parts that together give the named tensors, in the order in which they run."""
    producers = {
        name: node for node in graph.node for name in node.output if name and name not in given
    }
    ordered = _in_order(graph, names, producers)
    # What is computed from weights alone, such as a turned matrix, is as large as they are: each
    # part that reads it computes it.
    fixed: set[str] = set(weights)
    for node in ordered:
        if all(name in fixed for name in _reads(node)):
            fixed.update(node.output)
    groups: list[tuple[list[onnx.NodeProto], set[str]]] = [([], set())]
    for node in ordered:
        if all(name in fixed for name in node.output):
            continue
        needed = _weights_behind(node, producers, fixed, weights)
        nodes, held = groups[-1]
        size = sum(_bytes_of(weights[name]) for name in held | needed)
        if nodes and needed - held and size > PART_BYTES:
            groups.append(([], set()))
            nodes, held = groups[-1]
        nodes.append(node)
        held |= needed
    return _joined(groups, names, producers, fixed)


def _joined(
    groups: Sequence[tuple[list[onnx.NodeProto], set[str]]],
    names: Sequence[str],
    producers: Mapping[str, onnx.NodeProto],
    fixed: set[str],
) -> list[_Part]:
    """Return the groups of nodes with what passes between them."""
    parts: list[_Part] = []
    read_later = set(names)
    for nodes, held in reversed(groups):
        own = {name for node in nodes for name in node.output}
        reads = dict.fromkeys(name for node in nodes for name in _reads(node))
        again = _fixed_nodes(reads, producers, fixed)
        inputs = tuple(name for name in reads if name not in own and name not in fixed)
        outputs = tuple(name for node in nodes for name in node.output if name in read_later)
        parts.append(_Part((*again, *nodes), frozenset(held), inputs, outputs))
        read_later.update(inputs)
    return parts[::-1]


def _in_order(
    graph: onnx.GraphProto, names: Sequence[str], producers: Mapping[str, onnx.NodeProto]
) -> list[onnx.NodeProto]:
    """Return the nodes that the named tensors need, each behind those it reads and otherwise in the
    graph's order: nodes that were appended stand anywhere."""
    needed: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in producers and name not in needed:
            needed.update(producers[name].output)
            waiting.extend(_reads(producers[name]))
    ordered: list[onnx.NodeProto] = []
    done: set[str] = set()
    for node in graph.node:
        stack = [node] if needed & set(node.output) else []
        while stack:
            top = stack[-1]
            before = [producers[n] for n in _reads(top) if n in producers and n not in done]
            if not before:
                stack.pop()
                if not done & set(top.output):
                    ordered.append(top)
                    done.update(top.output)
            stack.extend(before)
    return ordered


def _reads(node: onnx.NodeProto) -> Iterator[str]:
    """Yield the names that a node reads, those of graphs inside of it too."""
    yield from (name for name in node.input if name)
    for attribute in node.attribute:
        for inner in (attribute.g, *attribute.graphs):
            own = {t.name for t in inner.initializer} | {p.name for p in inner.input}
            own |= {name for each in inner.node for name in each.output}
            for each in inner.node:
                yield from (name for name in _reads(each) if name not in own)


def _fixed_nodes(
    names: Iterable[str], producers: Mapping[str, onnx.NodeProto], fixed: set[str]
) -> list[onnx.NodeProto]:
    """Return the nodes that compute these names, those of them that come from weights alone, in the
    order in which they run."""
    found: dict[str, onnx.NodeProto] = {}

    def visit(name: str) -> None:
        node = producers.get(name)
        if node is None or name not in fixed or node.output[0] in found:
            return
        for read in _reads(node):
            visit(read)
        found[node.output[0]] = node

    for name in names:
        visit(name)
    return list(found.values())


def _weights_behind(
    node: onnx.NodeProto,
    producers: Mapping[str, onnx.NodeProto],
    fixed: set[str],
    weights: Mapping[str, TensorProto],
) -> set[str]:
    """Return the weights that a node reads, as they are or through nodes that read nothing else."""
    nodes = [node, *_fixed_nodes(_reads(node), producers, fixed)]
    return {name for each in nodes for name in _reads(each) if name in weights}
