"""Kernels over channels whose activations are rounded to 8 bits by ranges known beforehand, from
calibration. Written as QuantizeLinear and DequantizeLinear around a float MatMul, the form that
tools for quantized graphs understand; ONNX Runtime fuses it into MatMulIntegerToFloat."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from oriel.precision.kernels.channel_kernels import values_to_multiply
from oriel.precision.kernels.graph_edit import GraphEdit, wide_scales_of, zero_points_of
from oriel.precision.weights.encoded_layout import EncodedWeight

Range = tuple[float, float]
_STEPS = 255


def multiply_statically(
    edit: GraphEdit, node: ir.Node, weight: EncodedWeight, taken: Range
) -> None:
    """MatMul by a weight in channels; taken: the range of what is multiplied with it."""
    factor = node.inputs[0]
    assert factor is not None
    name = node.name or ""
    zero_points = zero_points_of(edit, weight) or _middles(edit, weight)
    values = [values_to_multiply(edit, weight), wide_scales_of(edit, weight), zero_points]
    # Named after the weight: lens nodes may read it too, and go when their outputs do.
    key = f"{weight.name}/DequantizeLinear"
    if key not in edit.shared:
        (edit.shared[key],) = edit.put(node, "DequantizeLinear", values, weight.name, axis=1)
    rounded = _rounded(edit, node, factor, taken)
    edit.replace(node, edit.put(node, "MatMul", [rounded, edit.shared[key]], name)[0])


def _rounded(edit: GraphEdit, node: ir.Node, factor: ir.Value, taken: Range) -> ir.Value:
    """The factor, in float32, at one of 256 values."""
    scale, zero_point = uint8_grid(taken)
    key = f"{factor.name}/static/{scale}/{zero_point}"
    if key not in edit.shared:
        name = node.name or ""
        grid = [
            edit.constant(f"{name}/scale", np.float32(scale)),
            edit.constant(f"{name}/zero_point", np.uint8(zero_point)),
        ]
        (small,) = edit.put(node, "QuantizeLinear", [factor, *grid], name)
        (edit.shared[key],) = edit.put(node, "DequantizeLinear", [small, *grid], name)
    return edit.shared[key]


def uint8_grid(taken: Range) -> tuple[float, int]:
    """(scale, zero point) of 256 values over a range, which is widened to hold 0 exactly."""
    low, high = min(taken[0], 0.0), max(taken[1], 0.0)
    scale = float(np.float32((high - low) / _STEPS)) or 1.0
    return scale, int(np.clip(round(-low / scale), 0, _STEPS))


def _middles(edit: GraphEdit, weight: EncodedWeight) -> ir.Value:
    """A zero point for each channel: DequantizeLinear wants as many as there are scales. Made when
    a session is, since a vocabulary's worth of the same byte needn't travel."""
    kind = np.int8 if weight.signed else np.uint8
    count = edit.constant(
        f"oriel/count_{weight.channels}", np.array([weight.channels], dtype=np.int64)
    )
    value = ir.tensor(np.array([weight.middle], dtype=kind))
    key = f"oriel/zero_points_{weight.channels}_{np.dtype(kind)}"
    if key not in edit.shared:
        (edit.shared[key],) = edit.put(edit.graph[0], "ConstantOfShape", [count], key, value=value)
    return edit.shared[key]
