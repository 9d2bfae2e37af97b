"""Kernels over blocks of 4 or 8 bits: MatMulNBits, and GatherBlockQuantized over the same bytes."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from oriel.precision.kernels.graph_edit import (
    CONTRIB,
    GraphEdit,
    values_of,
    wide_scales_of,
    zero_points_of,
)
from oriel.precision.weights.encoded_layout import EncodedWeight

ACCURACY_LEVEL = 4
"""Activations are rounded to 8 bits, block by block, where a processor multiplies those faster.
Natively, on GPT-2 small, a step takes 0.6 of the time at 4 bits and a thirtieth at 8, for which
ONNX Runtime has no other kernel; 4 bits' own error grows by less than a fiftieth. On wasm it makes
no difference."""


def multiply_blocks(edit: GraphEdit, node: ir.Node, weight: EncodedWeight) -> None:
    """MatMul by a weight in blocks."""
    factor = node.inputs[0]
    assert factor is not None and weight.block is not None and weight.bits is not None
    inputs = [factor, values_of(edit, weight), wide_scales_of(edit, weight)]
    zero_points = zero_points_of(edit, weight)
    if zero_points is not None:
        inputs.append(zero_points)
    (product,) = edit.put(
        node,
        "MatMulNBits",
        inputs,
        _name(node),
        CONTRIB,
        K=weight.summed,
        N=weight.channels,
        bits=weight.bits,
        block_size=weight.block,
        accuracy_level=ACCURACY_LEVEL,
    )
    edit.replace(node, product)


def gather_blocks(edit: GraphEdit, node: ir.Node, weight: EncodedWeight) -> None:
    """Gather of rows of a weight in blocks. The bytes are MatMulNBits' own; only their shape is
    written another way: (channels, bytes of a row)."""
    ids = node.inputs[1]
    assert ids is not None and weight.block is not None and weight.bits is not None
    row = weight.blocks * weight.block * weight.bits // 8
    table = edit.stored(f"{weight.name}/rows", weight.values, (weight.channels, row))
    inputs = [table, ids, wide_scales_of(edit, weight)]
    zero_points = zero_points_of(edit, weight)
    if zero_points is not None:
        inputs.append(zero_points)
    (rows,) = edit.put(
        node,
        "GatherBlockQuantized",
        inputs,
        _name(node),
        CONTRIB,
        bits=weight.bits,
        block_size=weight.block,
        gather_axis=0,
        quantize_axis=1,
    )
    if weight.blocks * weight.block > weight.summed:
        # The last block is filled up with zeros, which are no part of the row.
        bounds = [
            edit.constant(f"{weight.name}/{name}", np.array([number], dtype=np.int64))
            for name, number in (("begin", 0), ("end", weight.summed), ("axis", -1))
        ]
        (rows,) = edit.put(node, "Slice", [rows, *bounds], _name(node))
    edit.replace(node, rows)


def _name(node: ir.Node) -> str:
    assert node.name
    return node.name
