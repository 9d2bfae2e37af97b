"""Counts of the nodes that compute on each weight, in the finished file, so that a variant whose
weights were not quantized is detected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import prod

import onnx
from onnx import TensorProto

from oriel.graph.data_files import ALIGNMENT
from oriel.precision.recipes.weight_uses import WeightUse
from oriel.precision.weights.encoded_layout import EncodedFile, EncodedWeight
from oriel.precisions import Kernels

_REPRESENTATION_OPERATORS = ("Transpose", "Cast", "DequantizeLinear")
"""Operators that only give a weight another form."""
_PART_SUFFIXES = ("/values", "/rows")
"""Endings of the names of two initializers over one weight's bytes: see kernels/graph_edit.py and
kernels/block_kernels.py."""

Uses = dict[str, Counter[str]]


def kernel_nodes(graph: onnx.GraphProto) -> Uses:
    """Return {matrix: operators that compute on it}. A matrix is an initializer of two dimensions
    that lies in a data file; an encoded weight's values are counted under the weight's name."""
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in dict.fromkeys(node.input):
            readers.setdefault(name, []).append(node)
    found: Uses = {}
    for tensor in graph.initializer:
        stored = tensor.data_location == TensorProto.EXTERNAL
        if not stored or len(tensor.dims) < 2 or tensor.name.endswith(("/scales", "/zero_points")):
            continue
        weight = next(
            (tensor.name.removesuffix(p) for p in _PART_SUFFIXES if tensor.name.endswith(p)), ""
        )
        uses = found.setdefault(weight or tensor.name, Counter())
        waiting = [tensor.name]
        while waiting:
            for node in readers.get(waiting.pop(), []):
                if node.op_type in _REPRESENTATION_OPERATORS:
                    waiting.append(node.output[0])
                else:
                    uses[node.op_type] += 1
    return found


def expected_nodes(graph: onnx.GraphProto, encoded: EncodedFile, kernels: Kernels) -> Uses:
    """Return the counts that kernel_nodes must find in a quantized graph, from the float32 graph
    that it is made of."""
    last = unembedding_weight(graph)
    found: Uses = {}
    for name, uses in kernel_nodes(graph).items():
        weight = encoded.weight(name)
        assert weight is not None, f"{name} is not in {encoded.path}"
        found[name] = Counter()
        for operator, count in uses.items():
            found[name][_kernel(weight, operator, kernels, name == last)] += count
    return found


def _kernel(weight: EncodedWeight, operator: str, kernels: Kernels, is_last: bool) -> str:
    if weight.layout == "blocks" and operator == "MatMul":
        return "MatMulNBits"
    if weight.layout == "channels" and operator == "MatMul":
        # The unembedding's activations are rounded to two digits, by their range in each run.
        return "MatMul" if kernels == "int8_static" and not is_last else "MatMulInteger"
    return operator


def unembedding_weight(graph: onnx.GraphProto) -> str:
    """Return the name of the weight whose product the logits are."""
    producers = {name: node for node in graph.node for name in node.output}
    node = producers["logits"]
    while node.op_type != "MatMul":
        node = producers[node.input[0]]
    turned = producers.get(node.input[1])
    return str(node.input[1] if turned is None else turned.input[0])


def check_float16(graph: onnx.GraphProto, float_graph: onnx.GraphProto) -> dict[str, int]:
    """Return the manifest's `nodes` of a graph in float16; AssertionError where a weight isn't in
    float16."""
    for tensor in graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            assert tensor.data_type == TensorProto.FLOAT16, f"{tensor.name} is not float16"
    found, expected = kernel_nodes(graph), kernel_nodes(float_graph)
    assert found == expected, "the float16 graph computes on other weights than the float32 one"
    return total_nodes(found)


def check_kernels(
    graph: onnx.GraphProto, float_graph: onnx.GraphProto, encoded: EncodedFile, kernels: Kernels
) -> dict[str, int]:
    """Return the manifest's `nodes`: the number of nodes of each kind that compute on weights that
    aren't float32.

    AssertionError where a weight is computed on by another kernel than its encoding asks for.
    """
    expected = expected_nodes(float_graph, encoded, kernels)
    found = kernel_nodes(graph)
    for name in [*expected, *found]:
        assert found.get(name) == expected.get(name), (
            f"{name} is computed on by {found.get(name)}, its encoding asks for "
            f"{expected.get(name)}"
        )
    stored = {weight.name for weight in encoded.weights if weight.layout != "float32"}
    return total_nodes({name: uses for name, uses in found.items() if name in stored})


def total_nodes(uses: Mapping[str, Counter[str]]) -> dict[str, int]:
    """Return the counts over all weights, in the order of the operators' names."""
    total: Counter[str] = Counter()
    for found in uses.values():
        total += found
    return dict(sorted(total.items()))


def check_encoding(encoded: EncodedFile, uses: Mapping[str, WeightUse]) -> None:
    """Check that each weight is stored as its recipe says, and that the file is no larger than that
    implies: the parts of each weight, and what aligns them."""
    bytes_implied = 0
    for weight in encoded.weights:
        use = uses.get(weight.name) or WeightUse(weight.shape, None)
        wanted = encoded.recipe.rule_for(weight.name, use).treat
        assert weight.layout == wanted, (
            f"{weight.name} is {weight.layout}, its recipe says {wanted}"
        )
        bytes_implied += _implied_bytes(weight) + 3 * (ALIGNMENT - 1)
    assert encoded.bytes <= bytes_implied, (
        f"{encoded.path} has {encoded.bytes} bytes, its recipe implies {bytes_implied} at most"
    )


def _implied_bytes(weight: EncodedWeight) -> int:
    count = prod(weight.shape)
    if weight.layout == "float32":
        return 4 * count
    if weight.layout == "float16":
        return 2 * count
    assert weight.axis is not None and weight.bits is not None
    channels, summed = weight.shape[1 - weight.axis], weight.shape[weight.axis]
    if weight.layout == "channels":
        return count + 3 * channels
    assert weight.block is not None
    blocks = -(-summed // weight.block)
    values = weight.block * weight.bits // 8
    return channels * (blocks * (values + 2) + -(-blocks * weight.bits // 8))
