"""Direct logit attribution as nodes appended to an open graph: what each part of the model adds to
the logit of a token, or to a difference of logits.

The stream before the final norm is a sum of parts: the embedding, each head, each MLP. The norm
divides by one number for each position, so each part's share of a logit is its product with the
unembedding's column, through the norm's weights (Elhage et al., 2021, "A Mathematical Framework for
Transformer Circuits"). What a part adds through the mean that LayerNorm takes away counts too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper

from oriel.contract.activation_names import ModelShape, kinds
from oriel.errors import GraphError, OptionError
from oriel.graph.closings import open_end
from oriel.graph.graph_paths import nodes_between
from oriel.graph.weight_reads import NodeWriter, WeightReads

_PREFIX = "attribution/"
TOKENS, SIGNS = f"{_PREFIX}tokens", f"{_PREFIX}signs"
"""Inputs: (n), int64, token ids; (n, m), float32: how they make each of m directions."""
EMBEDDING, ATTENTION_REST = f"{_PREFIX}embedding", f"{_PREFIX}attention_rest"
MLPS, BIAS = f"{_PREFIX}mlps", f"{_PREFIX}bias"
NEURONS = f"{_PREFIX}neurons"
"""Outputs: (batch, seq, m); (batch, layers, seq, m); (batch, layers, seq, m); (m);
(batch, seq, neurons, m)."""


def heads_output(layer: int) -> str:
    """Return the name of a layer's heads' shares: (batch, heads, seq, m)."""
    return f"{_PREFIX}layer_{layer}_heads"


@dataclass(frozen=True)
class _Norm:
    """The final norm, as tensors of the graph."""

    scale: str
    """(batch, seq, 1): what the norm multiplies by."""
    weight: str
    """(hidden)"""
    bias: str | None
    centred: bool
    """It takes the mean away."""


def attribution_nodes(
    graph: onnx.GraphProto, shape: ModelShape, neurons_of: int | None = None
) -> bytes:
    """Return the bytes that, appended to an open graph, give every part's share.

    neurons_of: the layer whose neurons' shares are given too. Raises OptionError for a model whose
    parts go through another norm before they are added, GraphError for a graph of another form.
    """
    if shape.raw_outputs:
        raise OptionError("attribution isn't possible where what heads give is normed once more")
    writer = NodeWriter(_PREFIX)
    last = kinds()["resid_post"].at(shape.layers - 1)
    norm = _final_norm(graph, last, writer)
    columns = WeightReads.of_path(graph, "final_norm", "logits").columns(writer, TOKENS)
    turned = writer.put("Transpose", [columns], perm=[1, 0])
    chosen = writer.put("MatMul", [turned, SIGNS])
    weight = writer.put("Unsqueeze", [writer.floats(norm.weight), writer.numbers([1])])
    direction = writer.put("Mul", [chosen, weight])
    if norm.centred:
        mean = writer.put("ReduceMean", [direction, writer.numbers([0])], keepdims=1)
        direction = writer.put("Sub", [direction, mean])
    outputs: dict[str, list[int | str]] = {}
    m = "directions"

    def share(of: str, along: str = direction) -> str:
        return writer.put("Mul", [writer.put("MatMul", [of, along]), norm.scale])

    rests, mlps = [], []
    for layer in range(shape.layers):
        sizes = shape.at(layer)
        z, out = (kinds()[kind].at(layer) for kind in ("attn_z", "attn_output"))
        own = WeightReads.of_path(graph, z, open_end(out)).times(writer, direction)
        width = sizes.size("value_dim")
        by_head = writer.put("Reshape", [own, writer.numbers([sizes.heads, width, -1])])
        wide = writer.put("Unsqueeze", [norm.scale, writer.numbers([1])])
        heads = writer.put("Mul", [writer.put("MatMul", [z, by_head]), wide])
        _name(writer, heads_output(layer), heads)
        outputs[heads_output(layer)] = ["batch_size", sizes.heads, "sequence_length", m]
        total = writer.put("ReduceSum", [heads, writer.numbers([1])], keepdims=0)
        rests.append(writer.put("Sub", [share(out), total]))
        mlps.append(share(kinds()["mlp_output"].at(layer)))
    for name, parts in ((ATTENTION_REST, rests), (MLPS, mlps)):
        stacked = [writer.put("Unsqueeze", [part, writer.numbers([1])]) for part in parts]
        _name(writer, name, writer.put("Concat", stacked, axis=1))
        outputs[name] = ["batch_size", shape.layers, "sequence_length", m]
    _name(writer, EMBEDDING, share(kinds()["resid_pre"].at(0)))
    outputs[EMBEDDING] = ["batch_size", "sequence_length", m]
    if norm.bias is None:
        zeros = writer.put("Mul", [chosen, writer.numbers(0, np.float32)])
        bias = writer.put("ReduceSum", [zeros, writer.numbers([0])], keepdims=0)
    else:
        column = writer.put("Unsqueeze", [writer.floats(norm.bias), writer.numbers([1])])
        product = writer.put("Mul", [chosen, column])
        bias = writer.put("ReduceSum", [product, writer.numbers([0])], keepdims=0)
    _name(writer, BIAS, bias)
    outputs[BIAS] = [m]
    if neurons_of is not None:
        act, out = (kinds()[kind].at(neurons_of) for kind in ("mlp_act", "mlp_output"))
        own = WeightReads.of_path(graph, act, open_end(out)).times(writer, direction)
        each = writer.put("Unsqueeze", [act, writer.numbers([3])])
        scaled = writer.put("Mul", [writer.put("Mul", [each, own]), _last(writer, norm.scale)])
        _name(writer, NEURONS, scaled)
        outputs[NEURONS] = ["batch_size", "sequence_length", shape.at(neurons_of).intermediate, m]
    return _addition(writer, outputs)


def _last(writer: NodeWriter, scale: str) -> str:
    return writer.put("Unsqueeze", [scale, writer.numbers([3])])


def _name(writer: NodeWriter, name: str, tensor: str) -> None:
    writer.nodes.append(helper.make_node("Identity", [tensor], [name], f"{name}/Identity"))


def _addition(writer: NodeWriter, outputs: dict[str, list[int | str]]) -> bytes:
    addition = onnx.ModelProto()
    addition.graph.node.extend(writer.nodes)
    addition.graph.input.extend(
        [
            helper.make_tensor_value_info(TOKENS, TensorProto.INT64, ["tokens"]),
            helper.make_tensor_value_info(SIGNS, TensorProto.FLOAT, ["tokens", "directions"]),
        ]
    )
    addition.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes)
        for name, sizes in outputs.items()
    )
    return bytes(addition.SerializeToString(deterministic=True))


def _final_norm(graph: onnx.GraphProto, stream: str, writer: NodeWriter) -> _Norm:
    """Find the final norm: LayerNormalization, or the root mean square's parts."""
    path = nodes_between(graph, stream, "final_norm")
    if [node.op_type for node in path] == ["LayerNormalization"]:
        (node,) = path
        epsilon = next((a.f for a in node.attribute if a.name == "epsilon"), 1e-5)
        axis = writer.numbers([-1])
        mean = writer.put("ReduceMean", [stream, axis], keepdims=1)
        rest = writer.put("Sub", [stream, mean])
        squares = writer.put("ReduceMean", [writer.put("Mul", [rest, rest]), axis], keepdims=1)
        root = writer.put(
            "Sqrt", [writer.put("Add", [squares, writer.numbers(epsilon, np.float32)])]
        )
        bias = node.input[2] if len(node.input) > 2 and node.input[2] else None
        return _Norm(writer.put("Reciprocal", [root]), node.input[1], bias, centred=True)
    roots = [node for node in path if node.op_type == "Reciprocal"]
    inside = {name for node in path for name in node.output}
    weights = [name for name in path[-1].input if name not in inside] if path else []
    if len(roots) == 1 and path[-1].op_type == "Mul" and len(weights) == 1:
        return _Norm(roots[0].output[0], weights[0], None, centred=False)
    raise GraphError(
        "the final norm is of no known form",
        got=", ".join(node.op_type for node in path) or "nothing",
        expected="LayerNormalization, or a root mean square",
    )
