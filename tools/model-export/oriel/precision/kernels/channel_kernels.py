"""Parts that dynamic and static int8 share, for a weight of 8 bits with a scale for each channel:
the factors of the product, and rows gathered from a table."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from oriel.precision.kernels.graph_edit import GraphEdit, scales_of, values_of, zero_points_of
from oriel.precision.weights.encoded_layout import EncodedWeight

_FLOAT = int(ir.DataType.FLOAT)


def values_to_multiply(edit: GraphEdit, weight: EncodedWeight) -> ir.Value:
    """Return the values as MatMul wants them, (summed, channels). For a table whose rows are
    gathered too, ONNX Runtime transposes them once, when a session is made."""
    values = values_of(edit, weight)
    return values if weight.axis == 0 else edit.at_start("Transpose", values, perm=[1, 0])


def gather_channels(edit: GraphEdit, node: ir.Node, weight: EncodedWeight) -> None:
    """Replace a Gather by one of rows of 8 bits, each multiplied by its scale."""
    ids = node.inputs[1]
    assert ids is not None and weight.axis == 1
    name = node.name or ""
    last = edit.constant("oriel/last_axis", np.array([-1], dtype=np.int64))

    def of_each_row(table: ir.Value, what: str) -> ir.Value:
        """Return the table's entry for each row, (…, 1), float32."""
        at = f"{name}/{what}"
        (value,) = edit.put(node, "Gather", [table, ids], at)
        (value,) = edit.put(node, "Cast", [value], at, to=_FLOAT)
        return edit.put(node, "Unsqueeze", [value, last], at)[0]

    (rows,) = edit.put(node, "Gather", [values_of(edit, weight), ids], name)
    (wide,) = edit.put(node, "Cast", [rows], name, to=_FLOAT)
    zero_points = zero_points_of(edit, weight)
    if zero_points is not None:
        (wide,) = edit.put(node, "Sub", [wide, of_each_row(zero_points, "zero_points")], name)
    elif weight.middle:
        middle = edit.constant(f"oriel/float_{weight.middle}", np.float32(weight.middle))
        (wide,) = edit.put(node, "Sub", [wide, middle], name)
    scale = of_each_row(scales_of(edit, weight), "scales")
    edit.replace(node, edit.put(node, "Mul", [wide, scale], name)[0])
