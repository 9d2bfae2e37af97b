"""Kernels over blocks of 4 or 8 bits: MatMulNBits, and a Gather of rows over the same bytes."""

from __future__ import annotations

from dataclasses import dataclass

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
    """Gather of rows of a weight in blocks, decoded once they are gathered. The bytes are
    MatMulNBits' own.

    GatherBlockQuantized does the same in one node. But ONNX Runtime before 1.23 has none for 8
    bits, the builds of ONNX Runtime Web with WebGPU, which transformers.js loads for every device,
    have none for the CPU, and other tools can't infer its type.
    """
    ids = node.inputs[1]
    assert ids is not None and weight.block is not None and weight.bits is not None
    rows = _Rows(edit, node, weight, ids)
    values = rows.decoded(
        edit.stored(f"{weight.name}/rows", weight.values, weight.values_shape), "values"
    )
    zero_points = zero_points_of(edit, weight)
    if zero_points is None:
        middle = edit.constant(f"{weight.name}/middle", np.array(weight.middle, dtype=np.float32))
    else:
        packed = rows.flat(rows.decoded(zero_points, "zeros"), "zeros", -1)
        middle = rows.per_block(rows.cut(packed, "zeros", weight.blocks), "zeros")
    shifted = rows.put("Sub", [values, middle], "values")
    scales = rows.put("Gather", [wide_scales_of(edit, weight), ids], "scales", axis=0)
    wide = rows.put("Mul", [shifted, rows.per_block(scales, "scales")], "values")
    found = rows.flat(wide, "values", weight.blocks * weight.block)
    if weight.blocks * weight.block > weight.summed:
        # The last block is filled up with zeros, which are no part of the row.
        found = rows.cut(found, "values", weight.summed)
    edit.replace(node, found)


@dataclass(frozen=True)
class _Rows:
    """Nodes in the place of a Gather; each output's shape begins with that of the ids."""

    edit: GraphEdit
    node: ir.Node
    weight: EncodedWeight
    ids: ir.Value

    def put(self, operator: str, inputs: list[ir.Value], part: str, **said: int | str) -> ir.Value:
        name = f"{_name(self.node)}/{part}"
        (output,) = self.edit.insert(self.node, operator, inputs, name, said)
        return output

    def numbers(self, name: str, *values: int) -> ir.Value:
        return self.edit.constant(f"{self.weight.name}/{name}", np.array(values, dtype=np.int64))

    def decoded(self, table: ir.Value, part: str) -> ir.Value:
        """Gather rows of bytes and make numbers of them: (…, bytes), of 4 bits (…, bytes, 2), the
        low half of a byte first."""
        found = self.put("Gather", [table, self.ids], part, axis=0)
        if self.weight.bits == 4:
            mask, shift = (
                self.edit.constant(f"{self.weight.name}/{name}", np.array(byte, dtype=np.uint8))
                for name, byte in (("low_half", 15), ("high_half", 4))
            )
            low = self.put("BitwiseAnd", [found, mask], part)
            high = self.put("BitShift", [found, shift], part, direction="RIGHT")
            last = self.numbers("last", -1)
            halves = [
                self.put("Unsqueeze", [half, last], f"{part}_{side}")
                for side, half in (("low", low), ("high", high))
            ]
            found = self.put("Concat", halves, part, axis=-1)
        return self.put("Cast", [found], part, to=int(ir.DataType.FLOAT))

    def per_block(self, value: ir.Value, part: str) -> ir.Value:
        """(…, blocks), with dimensions behind it so that each stands for all values of a block."""
        axes = (-1, -2) if self.weight.bits == 4 else (-1,)
        return self.put("Unsqueeze", [value, self.numbers("in_block", *axes)], part)

    def flat(self, value: ir.Value, part: str, size: int) -> ir.Value:
        """Make everything behind the ids one dimension of this size."""
        lead = self.put("Shape", [self.ids], part)
        shape = self.put(
            "Concat", [lead, self.numbers(f"{part}_size", size)], f"{part}_shape", axis=0
        )
        return self.put("Reshape", [value, shape], part)

    def cut(self, value: ir.Value, part: str, size: int) -> ir.Value:
        """Keep the first of the last dimension."""
        bounds = [
            self.numbers(f"{part}_{name}", number)
            for name, number in (("begin", 0), ("end", size), ("axis", -1))
        ]
        return self.put("Slice", [value, *bounds], part)


def _name(node: ir.Node) -> str:
    assert node.name
    return node.name
