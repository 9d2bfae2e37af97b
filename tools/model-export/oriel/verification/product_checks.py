"""Checks each product of a variant's quantized weights alone: the output is compared with the
input, rounded as the kernel is specified to round, times the decoded weight. Errors of one product
can't hide among those of the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from oriel.arrays import Array
from oriel.precision.graphs.kernel_nodes import kernel_nodes, unembedding_weight
from oriel.runtime.joint_edit import JointEdit
from oriel.runtime.onnx_graph import OnnxGraph, closings_of
from oriel.verification.checks import GraphFile
from oriel.verification.compare import difference
from oriel.verification.reference_cases import SEED
from oriel.verification.report import Findings
from oriel.verification.stored_weights import read_initializer
from oriel.verification.variant_comparison import VariantComparison
from oriel.verification.weight_checks import oriented_like

CHECK = "products"


@dataclass(frozen=True)
class Product:
    """A MatMul of the float32 graph. Both tensors have these names in every variant's graph."""

    weight: str
    factor: str
    result: str
    floats: Array
    """The weight in float32 as it is multiplied with, (summed, channels), mapped."""
    of_logits: bool
    """The unembedding's, whose factor int8 rounds to two digits."""

    def turn(self, stood_for: Array) -> Array:
        """Turn the decoded values of a weight to (summed, channels) as well."""
        found = oriented_like(stood_for, self.floats)
        if found is None:
            raise ValueError(f"{self.weight} has another shape than in float32")
        return found


def products(graph: onnx.GraphProto, folder: Path) -> Iterator[Product]:
    """Yield the products of a float32 graph with a weight, as it is or transposed."""
    stored = {t.name: t for t in graph.initializer if t.data_location == TensorProto.EXTERNAL}
    turned = {n.output[0]: n.input[0] for n in graph.node if n.op_type == "Transpose"}
    last = unembedding_weight(graph)
    for node in graph.node:
        if node.op_type == "MatMul":
            weight = turned.get(node.input[1], node.input[1])
            if weight in stored:
                floats = read_initializer(stored[weight], folder)
                floats = floats.T if node.input[1] in turned else floats
                yield Product(weight, node.input[0], node.output[0], floats, weight == last)


def with_products(model: onnx.ModelProto, found: list[Product]) -> bytes:
    """Return the graph with these tensors as its only outputs."""
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    names = dict.fromkeys(name for p in found for name in (p.factor, p.result))
    del opened.graph.output[:]
    opened.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names
    )
    return bytes(opened.SerializeToString())


def check_every_product(
    compared: VariantComparison, graph: GraphFile, float_graph: Path, weights: Mapping[str, Array]
) -> None:
    """Check each product alone, at a small size, as it is and with every head and stream
    changed. weights: decoded values of the encoded ones."""
    compared.on_stage("multiply each weight alone")
    float_model = onnx.load_model(float_graph, load_external_data=False)
    found = list(products(float_model.graph, float_graph.parent))
    rng = np.random.default_rng(SEED)
    heads, hidden = compared.shape.heads, compared.shape.hidden
    edits: list[JointEdit] = []
    for layer in range(compared.shape.layers):
        scale = rng.uniform(0, 2, (1, heads, 1, 1)).astype(np.float32)
        added = rng.normal(0, 1, (1, 1, hidden)).astype(np.float32)
        edits.append(JointEdit("attn_z", layer, "scale", {"scale": scale}))
        edits.append(JointEdit("resid_post", layer, "add", {"add": added}))
    data = with_products(graph.model, found)
    for change in ((), tuple(edits)):
        session = OnnxGraph(
            graph.folder, data, graph.kind, compared.shape, closings=closings_of(change)
        )
        ids = compared.cases.ids[compared.cases.small]
        values = session.run(ids, session.outputs, change)
        bound = compared.bounds.of(CHECK)
        check_products(graph.model, found, values, weights, bound, compared.findings)


def check_products(
    model: onnx.ModelProto,
    found: list[Product],
    values: Mapping[str, Array],
    weights: Mapping[str, Array],
    bound: float,
    findings: Findings,
) -> None:
    """Check each product. values: by name of the tensor; weights: decoded, transposed or not."""
    uses = kernel_nodes(model.graph)
    # Encoded values have other names than the weight.
    floats = {tensor.name for tensor in model.graph.initializer}
    for product in found:
        factor, result = values[product.factor], values[product.result]
        weight = product.turn(weights.get(product.weight, product.floats))
        rounded = factor
        kernels = uses[product.weight]
        if kernels["MatMul"] and product.weight not in floats:
            rounded = _statically(model.graph, product.factor, factor)
        elif kernels["MatMulInteger"] and not product.of_logits:
            rounded = _dynamically(factor)
        error = difference(result, rounded @ weight).norm
        findings.measure(CHECK, error, bound, product.result)


def _dynamically(values: Array) -> Array:
    """Round values by DynamicQuantizeLinear of the ONNX standard, and decode them."""
    low, high = min(np.float32(values.min()), np.float32(0)), max(values.max(), np.float32(0))
    scale = np.float32((high - low) / np.float32(255))
    if scale == 0:
        # An expert that no token was sent to reads zeros, which are exact at any scale.
        return values
    return _at_grid(values, scale, np.float32(np.rint(-low / scale)))


def _statically(graph: onnx.GraphProto, name: str, values: Array) -> Array:
    """Round values by QuantizeLinear with the graph's own constants, and decode them."""
    constants = {t.name: t for t in graph.initializer}
    node = next(n for n in graph.node if n.op_type == "QuantizeLinear" and n.input[0] == name)
    scale, zero = (numpy_helper.to_array(constants[n]) for n in node.input[1:3])
    return _at_grid(values, np.float32(scale), np.float32(zero))


def _at_grid(values: Array, scale: np.float32, zero: np.float32) -> Array:
    steps = np.clip(np.rint(values / scale) + zero, 0, 255) - zero
    found: Array = (steps * scale).astype(np.float32)
    return found
