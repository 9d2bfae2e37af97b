"""Taps of direct logit attribution: bytes that, appended to an open graph, compute how much each
part of the model adds to the logit of a token, or to a difference of logits.

The stream before the final norm is a sum of parts: the embedding, each head, each MLP. The norm
divides by one number for each position, so a part's share of a logit is its product with the
unembedding's column, scaled by the norm's weights and divisor (Elhage et al., 2021, "A Mathematical
Framework for Transformer Circuits"). The mean that LayerNorm subtracts is split among the parts as
well.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass

import numpy as np
import onnx

from oriel.contract.activation_names import ModelShape, kinds
from oriel.contract.attribution_names import (
    SIGNS,
    TOKENS,
    attribution_inputs,
    attribution_name,
    attribution_outputs,
    prefix_of,
)
from oriel.contract.documents import AttributionRecord
from oriel.errors import GraphError, OptionError
from oriel.graph.closings import open_end
from oriel.graph.graph_paths import nodes_between
from oriel.graph.node_writer import NodeWriter
from oriel.graph.weight_reads import WeightReads


@dataclass(frozen=True)
class AttributionTaps:
    """Bytes to append to an open graph: the model's tap first, then those of any layers."""

    model: bytes
    layers: tuple[bytes, ...]
    neurons: tuple[bytes, ...]

    def joined(self, neurons_of: int | None = None) -> bytes:
        """Return the bytes for the shares of all parts, and of one layer's neurons if a layer is
        given."""
        more = () if neurons_of is None else (self.neurons[neurons_of],)
        return b"".join([self.model, *self.layers, *more])

    def all(self) -> bytes:
        """Return the bytes that give every part's share, and every layer's neurons'."""
        return b"".join([self.model, *self.layers, *self.neurons])

    def to_json(self) -> AttributionRecord:
        return {
            "model": _text(self.model),
            "layers": [_text(tap) for tap in self.layers],
            "neurons": [_text(tap) for tap in self.neurons],
        }

    @staticmethod
    def from_json(data: AttributionRecord) -> AttributionTaps:
        layers, neurons = (tuple(map(_bytes, data[key])) for key in ("layers", "neurons"))
        return AttributionTaps(_bytes(data["model"]), layers, neurons)


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


@dataclass(frozen=True)
class _Along:
    """Tensors that the model's tap computes and the taps of layers read."""

    direction: str
    """(hidden, directions): the vectors that each part is multiplied with."""
    scale: str
    """(batch, seq, 1): the factor of each position, applied to that product."""


def attribution_taps(graph: onnx.GraphProto, shape: ModelShape) -> AttributionTaps:
    """Return the attribution taps for an open graph.

    Raises OptionError for a model whose stream is not the sum of its parts, GraphError if the graph
    has an unknown form.
    """
    check_attributable(graph, shape)
    along, model = _model_tap(graph, shape)
    layers = range(shape.layers)
    return AttributionTaps(
        model,
        tuple(_layer_tap(graph, shape, along, layer) for layer in layers),
        tuple(_neurons_tap(graph, shape, along, layer) for layer in layers),
    )


def check_attributable(graph: onnx.GraphProto, shape: ModelShape) -> None:
    """Raise OptionError for a model whose stream is not the sum of its parts, or whose logits are
    not the product of the normed stream and the unembedding."""
    if shape.bidirectional:
        raise OptionError(
            "attribution isn't possible in this model",
            got="a head of several layers between the stream and the logits",
            expected="logits that are the product of the stream and the unembedding",
        )
    experts = any(shape.at(layer).experts for layer in range(shape.layers))
    if shape.raw_outputs or shape.post_norm or experts:
        raise OptionError(
            "attribution isn't possible in this model",
            got="parts that are normed once more, or experts",
            expected="a stream that is the sum of what heads and MLPs give",
        )
    _check_logits(graph)


def token_directions(
    graph: onnx.GraphProto, shape: ModelShape, writer: NodeWriter, tokens: str
) -> str:
    """Return the name of (hidden, tokens), float32: for each token, the direction of the stream
    whose product with a part of it, once the final norm has divided, is the part's share of the
    token's logit. tokens: name of their ids, (tokens), int64."""
    norm = _final_norm(graph, kinds()["resid_post"].at(shape.layers - 1), writer)
    columns = WeightReads.of_path(graph, "final_norm", "logits").columns(writer, tokens)
    return _before_norm(norm, writer, writer.put("Transpose", [columns], perm=[1, 0]))


def _before_norm(norm: _Norm, writer: NodeWriter, chosen: str) -> str:
    """Return the name of directions before the final norm for (hidden, n) behind it."""
    weight = writer.put("Unsqueeze", [writer.floats(norm.weight), writer.numbers([1])])
    direction = writer.put("Mul", [chosen, weight])
    if norm.centred:
        mean = writer.put("ReduceMean", [direction, writer.numbers([0])], keepdims=1)
        direction = writer.put("Sub", [direction, mean])
    return direction


def _check_logits(graph: onnx.GraphProto) -> None:
    """Raise OptionError for logits that are more than the product with the unembedding: a bias, a
    scale or a cap, which no part of the stream has a share of."""
    path = nodes_between(graph, "final_norm", "logits")
    if sum(node.op_type == "MatMul" for node in path) > 1:
        raise OptionError(
            "attribution isn't possible in this model",
            got="several matrices between the final norm and the logits",
            expected="logits that are the product of the stream and the unembedding",
        )
    product = WeightReads.of_path(graph, "final_norm", "logits").product
    producers = {name: node for node in graph.node for name in node.output}
    scalars = {tensor.name for tensor in graph.initializer if not tensor.dims}
    scalars |= {name for name, node in producers.items() if node.op_type == "Constant"}
    stored = {tensor.name for tensor in graph.initializer}
    # An integer kernel scales its own product, by nodes under the product's name.
    kernel = product.output[0].rpartition("/")[0] + "/" if product.op_type != "MatMul" else None
    for node in nodes_between(graph, product.output[0], "logits"):
        given = [name for name in node.input if name not in stored]
        if kernel is not None and all(name.startswith(kernel) for name in given):
            continue
        scaled = node.op_type == "Mul" and bool(scalars & set(node.input))
        if scaled or node.op_type in ("Add", "Div", "Sub", "Tanh"):
            raise OptionError(
                "attribution isn't possible in this model",
                got=f"logits that pass through {node.op_type} after the unembedding",
                expected="logits that are the product of the stream and the unembedding",
            )


def _model_tap(graph: onnx.GraphProto, shape: ModelShape) -> tuple[_Along, bytes]:
    writer = NodeWriter(prefix_of("model"))
    norm = _final_norm(graph, kinds()["resid_post"].at(shape.layers - 1), writer)
    columns = WeightReads.of_path(graph, "final_norm", "logits").columns(writer, TOKENS)
    turned = writer.put("Transpose", [columns], perm=[1, 0])
    chosen = writer.put("MatMul", [turned, SIGNS])
    direction = _before_norm(norm, writer, chosen)
    along = _Along(f"{writer.prefix}direction", norm.scale)
    writer.name(along.direction, direction)
    stream = writer.put("MatMul", [kinds()["resid_pre"].at(0), along.direction])
    writer.name(attribution_name("embedding"), writer.put("Mul", [stream, norm.scale]))
    # A norm without bias: use zeros of the same shape.
    bias = writer.numbers(0, np.float32) if norm.bias is None else writer.floats(norm.bias)
    column = bias if norm.bias is None else writer.put("Unsqueeze", [bias, writer.numbers([1])])
    product = writer.put("Mul", [chosen, column])
    total = writer.put("ReduceSum", [product, writer.numbers([0])], keepdims=0)
    writer.name(attribution_name("bias"), total)
    logits = writer.put("MatMul", ["final_norm", chosen])
    writer.name(attribution_name("logits"), logits)
    return along, writer.appended(attribution_inputs(), attribution_outputs(shape, "model"))


def _layer_tap(graph: onnx.GraphProto, shape: ModelShape, along: _Along, layer: int) -> bytes:
    writer, sizes = NodeWriter(prefix_of("layer", layer)), shape.at(layer)
    z, out, mlp = (kinds()[kind].at(layer) for kind in ("attn_z", "attn_output", "mlp_output"))

    def share(of: str) -> str:
        return writer.put("Mul", [writer.put("MatMul", [of, along.direction]), along.scale])

    own = WeightReads.of_path(graph, z, open_end(out)).times(writer, along.direction)
    by_head = [sizes.heads, sizes.size("value_dim"), -1]
    own = writer.put("Reshape", [own, writer.numbers(by_head)])
    wide = writer.put("Unsqueeze", [along.scale, writer.numbers([1])])
    heads = writer.put("Mul", [writer.put("MatMul", [z, own]), wide])
    total = writer.put("ReduceSum", [heads, writer.numbers([1])], keepdims=0)
    writer.name(attribution_name("heads", layer), heads)
    rest = writer.put("Sub", [share(out), total])
    writer.name(attribution_name("attention_rest", layer), rest)
    writer.name(attribution_name("mlp", layer), share(mlp))
    return writer.appended((), attribution_outputs(shape, "layer", layer))


def _neurons_tap(graph: onnx.GraphProto, shape: ModelShape, along: _Along, layer: int) -> bytes:
    writer = NodeWriter(prefix_of("neurons", layer))
    act, out = (kinds()[kind].at(layer) for kind in ("mlp_act", "mlp_output"))
    own = WeightReads.of_path(graph, act, open_end(out)).times(writer, along.direction)
    last = writer.numbers([3])
    each = writer.put("Mul", [writer.put("Unsqueeze", [act, last]), own])
    scaled = writer.put("Mul", [each, writer.put("Unsqueeze", [along.scale, last])])
    writer.name(attribution_name("neurons", layer), scaled)
    return writer.appended((), attribution_outputs(shape, "neurons", layer))


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
        scale = f"{writer.prefix}scale"
        writer.name(scale, writer.put("Reciprocal", [root]))
        return _Norm(scale, node.input[1], bias, centred=True)
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


def _text(tap: bytes) -> str:
    return base64.b64encode(tap).decode("ascii")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
