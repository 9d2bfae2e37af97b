"""Kernels over channels whose activations are rounded to 8 bits as they come: their range is that
of the whole tensor in this very run. ONNX Runtime fuses the nodes into DynamicQuantizeMatMul."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from oriel.precision.kernels.channel_kernels import values_to_multiply
from oriel.precision.kernels.graph_edit import GraphEdit, wide_scales_of, zero_points_of
from oriel.precision.weights.encoded_layout import EncodedWeight


def multiply_dynamically(edit: GraphEdit, node: ir.Node, weight: EncodedWeight) -> None:
    """MatMul by a weight in channels."""
    factor = node.inputs[0]
    assert factor is not None
    name = node.name or ""
    rounded, scale, zero_point = _rounded(edit, node, factor)
    inputs = [rounded, values_to_multiply(edit, weight), zero_point]
    weight_zero = zero_points_of(edit, weight)
    if weight_zero is None and weight.middle:
        weight_zero = edit.constant(f"oriel/uint8_{weight.middle}", np.uint8(weight.middle))
    if weight_zero is not None:
        inputs.append(weight_zero)
    (sums,) = edit.put(node, "MatMulInteger", inputs, name)
    (sums,) = edit.put(node, "Cast", [sums], name, to=int(ir.DataType.FLOAT))
    (scales,) = edit.put(node, "Mul", [scale, wide_scales_of(edit, weight)], f"{name}/scales")
    edit.replace(node, edit.put(node, "Mul", [sums, scales], name)[0])


def _rounded(
    edit: GraphEdit, node: ir.Node, factor: ir.Value
) -> tuple[ir.Value, ir.Value, ir.Value]:
    """(uint8, its scale, its zero point), made once for all products of one factor."""
    keys = [f"{factor.name}/dynamic/{part}" for part in ("values", "scale", "zero_point")]
    if keys[0] not in edit.shared:
        made = edit.put(node, "DynamicQuantizeLinear", [factor], node.name or "", outputs=3)
        edit.shared |= dict(zip(keys, made, strict=True))
    values, scale, zero_point = (edit.shared[key] for key in keys)
    return values, scale, zero_point
