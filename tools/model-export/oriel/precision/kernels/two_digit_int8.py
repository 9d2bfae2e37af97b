"""The unembedding over channels: its activations are rounded to two digits of 8 bits each, the
second for the remainder of the first. Likely tokens' logits are so close together that one digit
here costs more right predictions than one digit everywhere else; and the logit lens feeds in
residual streams that no calibration has seen."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from oriel.precision.kernels.channel_kernels import values_to_multiply
from oriel.precision.kernels.graph_edit import (
    Attribute,
    GraphEdit,
    wide_scales_of,
    zero_points_of,
)
from oriel.precision.weights.encoded_layout import EncodedWeight

_ZERO_POINT = 128
_MAX_DIGIT = 127
_STEPS_PER_DIGIT = 254
"""Steps of the second digit in one of the first. The remainder of a value is at most half a step of
the first digit: 127 steps of the second."""
_MIN_SCALE = np.float32(1e-30)


def multiply_in_two_digits(edit: GraphEdit, node: ir.Node, weight: EncodedWeight) -> None:
    """Replace a MatMul by a weight in channels. Both digits are rows of one product, (2 batch,
    rows, summed), so that the weight is read once."""
    factor = node.inputs[0]
    assert factor is not None
    name = node.name or ""

    def put(operator: str, *inputs: ir.Value, at: str = "", **attributes: Attribute) -> ir.Value:
        return edit.insert(node, operator, list(inputs), name + at, attributes)[0]

    middle = edit.constant(f"oriel/uint8_{_ZERO_POINT}", np.uint8(_ZERO_POINT))
    largest = put("ReduceMax", put("Abs", factor), keepdims=0)
    largest = put("Max", largest, edit.constant("oriel/smallest", _MIN_SCALE))
    step = put("Mul", largest, edit.constant("oriel/step", np.float32(1 / _MAX_DIGIT)), at="/step")
    digit = edit.constant("oriel/digit", np.float32(1 / _STEPS_PER_DIGIT))
    small_step = put("Mul", step, digit, at="/small_step")
    first = put("QuantizeLinear", factor, step, middle)
    left = put("Sub", factor, put("DequantizeLinear", first, step, middle))
    second = put("QuantizeLinear", left, small_step, middle, at="/second")
    digits = put("Concat", first, second, axis=0)
    inputs = [digits, values_to_multiply(edit, weight), middle]
    weight_zero = zero_points_of(edit, weight)
    if weight_zero is None and weight.middle:
        weight_zero = middle
    if weight_zero is not None:
        inputs.append(weight_zero)
    sums = put("Cast", put("MatMulInteger", *inputs), to=int(ir.DataType.FLOAT))
    scales = put("Mul", step, wide_scales_of(edit, weight), at="/scales")
    parts = edit.put(
        node, "Split", [put("Mul", sums, scales)], name, outputs=2, axis=0, num_outputs=2
    )
    edit.replace(node, put("Add", parts[0], put("Mul", parts[1], digit, at="/rest")))
