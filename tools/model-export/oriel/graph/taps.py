"""Taps: bytes that, appended to a graph, turn an inner tensor into an output. Protocol Buffers
merge concatenated messages, so a ModelProto that holds only graph.output (and, for a lens, a few
nodes) extends the model that it is appended to."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import onnx
from onnx import TensorProto, helper

from oriel.contract.activation_names import (
    LENS_KINDS,
    NUM_LOGITS,
    ModelShape,
    TensorSpec,
    all_activations,
    kinds,
    parse_name,
)
from oriel.contract.documents import TapRecord
from oriel.errors import GraphError
from oriel.graph.graph_paths import nodes_between
from oriel.graph.stored_maps import StoredMap, map_nodes

_START = f"{NUM_LOGITS}/start"
"""The tensor by which the decoder graph cuts off the rows whose logits aren't wanted."""
_ELEMENT = {"float32": TensorProto.FLOAT, "int64": TensorProto.INT64}


@dataclass(frozen=True)
class Tap:
    """The outputs that a tap adds to a graph, and the bytes that add them."""

    outputs: tuple[TensorSpec, ...]
    payload: bytes

    def to_json(self) -> TapRecord:
        return {
            "outputs": [spec.to_json() for spec in self.outputs],
            "bytes": base64.b64encode(self.payload).decode("ascii"),
        }

    @staticmethod
    def from_json(data: TapRecord) -> Tap:
        specs = tuple(TensorSpec.from_json(spec) for spec in data["outputs"])
        return Tap(specs, base64.b64decode(data["bytes"], validate=True))


def value_info(spec: TensorSpec) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(spec.name, _ELEMENT[spec.dtype], list(spec.shape))


def make_taps(graph: onnx.GraphProto, shape: ModelShape) -> list[Tap]:
    """Return a tap for every activation of the contract but logits, which is always an output.

    Raises GraphError where the graph lacks a tensor that the contract names.
    """
    inside = {name for node in graph.node for name in node.output}
    taps: list[Tap] = []
    for spec in all_activations(shape):
        found = parse_name(spec.name)
        assert found is not None
        kind, layer = found
        if kind.kind == "logits" or kind.kind == LENS_KINDS[1]:
            continue
        if kind.kind == LENS_KINDS[0]:
            assert layer is not None
            taps.append(lens_tap(graph, shape, layer))
            continue
        if spec.name not in inside:
            raise GraphError("the graph lacks a tensor of the contract", expected=spec.name)
        taps.append(Tap((spec,), _serialize(outputs=[spec])))
    return taps


def open_taps(model: bytes, taps: Iterable[Tap]) -> bytes:
    """Return the model with the taps' outputs. The caller leaves out taps that are outputs
    already."""
    return b"".join([model, *(tap.payload for tap in taps)])


def add_lens_nodes(graph: onnx.GraphProto, shape: ModelShape, names: Iterable[str]) -> None:
    """Add the nodes that compute those of `names` that belong to the logit lens: unlike all other
    activations, these are in no graph until they are requested."""
    wanted = set(names)
    layers = [
        layer
        for layer in range(shape.layers)
        if wanted & {kinds()[kind].at(layer) for kind in LENS_KINDS}
    ]
    additions = [lens_tap(graph, shape, layer).payload for layer in layers]
    for payload in additions:
        graph.node.extend(onnx.ModelProto.FromString(payload).graph.node)


def drop_lens_nodes(model: onnx.ModelProto) -> None:
    """Drop the nodes that add_lens_nodes added: they are added anew where they are wanted."""
    kept = [node for node in model.graph.node if "_lens/" not in node.name]
    del model.graph.node[:]
    model.graph.node.extend(kept)


def tap_of(
    outputs: Sequence[TensorSpec],
    nodes: Iterable[onnx.NodeProto],
    tensors: Iterable[TensorProto],
) -> Tap:
    """Return the tap that adds these outputs, nodes and tensors to a graph."""
    return Tap(tuple(outputs), _serialize(outputs, nodes, tensors))


def _serialize(
    outputs: Iterable[TensorSpec],
    nodes: Iterable[onnx.NodeProto] = (),
    tensors: Iterable[TensorProto] = (),
) -> bytes:
    # No ir_version, no opset: only what is to be added may be set.
    addition = onnx.ModelProto()
    addition.graph.output.extend(value_info(spec) for spec in outputs)
    addition.graph.node.extend(nodes)
    addition.graph.initializer.extend(tensors)
    return bytes(addition.SerializeToString(deterministic=True))


def lens_tap(
    graph: onnx.GraphProto, shape: ModelShape, layer: int, stored: StoredMap | None = None
) -> Tap:
    """Return the tap of the logit lens (nostalgebraist, 2020): final norm and unembedding applied
    to a layer's resid_post, or to the output of a lens pack's map of resid_post.

    Its nodes are copies of those between the last resid_post and logits, followed by softmax and
    TopK.
    """
    ids, probs = (kinds()[kind].spec(shape, layer) for kind in LENS_KINDS)
    resid_post = kinds()["resid_post"]
    prefix = f"layer_{layer}_lens/"
    last, own = resid_post.at(shape.layers - 1), resid_post.at(layer)
    sliced = any(_START in node.input for node in graph.node)
    nodes: list[onnx.NodeProto] = []
    tensors: list[TensorProto] = []
    if stored is not None:
        nodes, tensors, own = map_nodes(stored, own, prefix)
    if layer == shape.layers - 1 and not sliced and stored is None:
        logits = "logits"
    else:
        copies, logits = _copy_between(graph, last, "logits", own, prefix)
        nodes += copies
    count = helper.make_tensor(f"{prefix}k", TensorProto.INT64, [1], [shape.lens_k])
    nodes += [
        helper.make_node("Softmax", [logits], [f"{prefix}softmax"], f"{prefix}Softmax", axis=-1),
        helper.make_node("Constant", [], [f"{prefix}k"], f"{prefix}Constant", value=count),
        helper.make_node(
            "TopK",
            [f"{prefix}softmax", f"{prefix}k"],
            [probs.name, ids.name],
            f"{prefix}TopK",
            axis=-1,
            largest=1,
            sorted=1,
        ),
    ]
    return tap_of([ids, probs], nodes, tensors)


def _copy_between(
    graph: onnx.GraphProto, start: str, end: str, new_start: str, prefix: str
) -> tuple[list[onnx.NodeProto], str]:
    """Return copies of the nodes that lead from one tensor to another, reading `new_start` instead,
    and the name of the result; they compute all positions, whatever num_logits_to_keep is."""
    depends = {start}
    whole: dict[str, str] = {}
    copies: list[onnx.NodeProto] = []
    # Shapes and other tensors that don't depend on the residual stream exist already, under
    # their names.
    for node in nodes_between(graph, start, end):
        depends |= set(node.output)
        if _START in node.input:
            whole[node.output[0]] = node.input[0]
            continue
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.name = f"{prefix}{node.name}"
        for i, name in enumerate(copy.input):
            name = whole.get(name, name)
            if name in depends:
                copy.input[i] = new_start if name == start else f"{prefix}{name}"
        for i, name in enumerate(copy.output):
            copy.output[i] = f"{prefix}{name}"
        copies.append(copy)
    return copies, f"{prefix}{end}"
