"""The open graph from the decoder graph: at each joint the path is cut, so that a reader can append
an edit or, to leave it as it is, an Identity (closings.py)."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import TensorProto, helper

from oriel.contract.activation_names import (
    ModelShape,
    activation_spec,
    cache_output_specs,
    joint_specs,
)
from oriel.errors import GraphError
from oriel.graph.built_graph import BuiltGraph, set_outputs
from oriel.graph.closings import open_end
from oriel.graph.graph_document import make_document, write_document
from oriel.graph.logits_rows import drop_default
from oriel.graph.rotary_table import tabulate_angles
from oriel.graph.taps import drop_lens_nodes

_NARROW = "narrow"


def open_joints(decoder: BuiltGraph, shape: ModelShape) -> BuiltGraph:
    """Return a graph that gives logits and present.* once its joints are closed.

    At each joint NAME what computed NAME gives NAME/pre instead, and what read NAME still does.
    Raises GraphError where the decoder graph lacks a joint's tensor.
    """
    model = onnx.ModelProto()
    model.CopyFrom(decoder.model)
    drop_lens_nodes(model)
    drop_default(model)
    logits = activation_spec("logits", shape)
    assert logits is not None
    outputs = [logits, *cache_output_specs(shape)]
    set_outputs(model, outputs)
    joints = joint_specs(shape)
    names = {joint.name for joint in joints}
    tabulate_angles(model.graph, shape)
    _put_on_path(model.graph, [joint.name for joint in joints])
    for node in model.graph.node:
        for index, name in enumerate(node.output):
            if name in names:
                node.output[index] = open_end(name)
    model.graph.name = "oriel_open"
    document = make_document("open", shape, outputs, joints)
    write_document(model, document)
    return BuiltGraph(model, document)


def _put_on_path(graph: onnx.GraphProto, names: Sequence[str]) -> None:
    """Let everything that follows a joint's tensor read it.

    A tensor of two names has a copy, and a float16 one a cast, that nothing else reads: its other
    readers then read the copy, or the copy cast back.
    """
    nodes = list(graph.node)
    producers = {name: node for node in nodes for name in node.output}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in nodes:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    moved: dict[str, list[onnx.NodeProto]] = {}
    for name in names:
        joint = producers.get(name)
        if joint is None:
            raise GraphError("the graph lacks a tensor of the contract", expected=name)
        if name in readers:
            continue
        source = joint.input[0] if joint.op_type in ("Identity", "Cast") else ""
        others = [node for node in readers.get(source, []) if name not in node.output]
        if not others:
            raise GraphError(
                f"the model computes nothing from {name}",
                got="a tensor that only outputs need",
                expected="one that what follows it reads",
                next_step="correct the architecture's `shape`: parallel_residual, for instance.",
            )
        # The copy may stand anywhere behind its source; now others read what it gives.
        chain, target = [joint], name
        if joint.op_type == "Cast":
            target = f"{name}/{_NARROW}"
            to = TensorProto.FLOAT16
            chain.append(helper.make_node("Cast", [name], [target], f"{name}/Cast", to=to))
        for reader in others:
            for index, read in enumerate(reader.input):
                if read == source:
                    reader.input[index] = target
        readers[source] = [joint]
        readers[target] = others
        moved.setdefault(source, []).extend(chain)
    away = {output for chain in moved.values() for node in chain for output in node.output}
    del graph.node[:]
    waiting = [node for node in nodes if not away & set(node.output)][::-1]
    while waiting:
        node = waiting.pop()
        graph.node.append(node)
        for output in node.output:
            waiting.extend(reversed(moved.get(output, [])))
