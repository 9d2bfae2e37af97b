"""Nodes that read a weight of a finished graph as float32, whatever kernel multiplies with it: its
columns by number, or its product with vectors on the side of its outputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx

from oriel.errors import GraphError
from oriel.graph.graph_paths import nodes_between
from oriel.graph.node_writer import NodeWriter

_PRODUCTS = ("MatMul", "MatMulInteger", "MatMulNBits")
_MIDDLE_OF_8 = 128


@dataclass(frozen=True)
class WeightReads:
    """The weight of one matrix product, of shape (in, out)."""

    product: onnx.NodeProto
    producers: dict[str, onnx.NodeProto]
    names: frozenset[str]
    """Every tensor of the graph."""

    @staticmethod
    def of_path(graph: onnx.GraphProto, start: str, end: str) -> WeightReads:
        """Find the product on the way from one tensor to another. Raises GraphError where there
        isn't exactly one."""
        found = [node for node in nodes_between(graph, start, end) if node.op_type in _PRODUCTS]
        if len(found) != 1:
            raise GraphError(
                f"the graph has no single matrix product from {start} to {end}",
                got=", ".join(node.op_type for node in found) or "none",
            )
        producers = {name: node for node in graph.node for name in node.output}
        names = frozenset([*producers, *(tensor.name for tensor in graph.initializer)])
        return WeightReads(found[0], producers, names)

    def columns(self, writer: NodeWriter, ids: str) -> str:
        """Return the name of (ids, in), float32: the weights of those outputs."""
        if self.product.op_type == "MatMulNBits":
            return self._rows_of_blocks(writer, ids)
        values, is_turned, scales = self._stored()
        axis = 0 if is_turned else 1
        found = writer.put("Gather", [values, ids], axis=axis)
        if not is_turned:
            found = writer.put("Transpose", [found], perm=[1, 0])
        found = writer.floats(found)
        if scales is None:
            return found
        chosen = writer.put("Gather", [scales, ids], axis=0)
        column = writer.put("Unsqueeze", [chosen, writer.numbers([1])])
        shifted = writer.put("Sub", [found, writer.numbers(_MIDDLE_OF_8, np.float32)])
        return writer.put("Mul", [shifted, column])

    def times(self, writer: NodeWriter, vectors: str) -> str:
        """Return the name of (in, n), float32: the weight times vectors (out, n)."""
        if self.product.op_type == "MatMulNBits":
            rows = self._rows_of_blocks(writer, None)
            return writer.put("MatMul", [writer.put("Transpose", [rows], perm=[1, 0]), vectors])
        values, is_turned, scales = self._stored()
        if is_turned:
            values = writer.put("Transpose", [values], perm=[1, 0])
        wide = writer.floats(values)
        if scales is not None:
            shifted = writer.put("Sub", [wide, writer.numbers(_MIDDLE_OF_8, np.float32)])
            wide = writer.put("Mul", [shifted, scales])
        return writer.put("MatMul", [wide, vectors])

    def _stored(self) -> tuple[str, bool, str | None]:
        """Return the stored matrix, whether it is (out, in), and its scales by output, of values
        around 128."""
        name = self.product.input[1]
        turned = self.producers.get(name)
        is_turned = turned is not None and turned.op_type == "Transpose"
        if turned is not None and is_turned:
            name = turned.input[0]
        if self.product.op_type == "MatMul":
            return name, is_turned, None
        base = name.removesuffix("/values")
        scales = f"{base}/scales/Cast"
        if scales not in self.names:
            raise GraphError(f"the graph has no scales for {base}", expected=scales)
        return name, is_turned, scales

    def _rows_of_blocks(self, writer: NodeWriter, ids: str | None) -> str:
        """Return (ids, in), float32: rows of a weight stored in blocks of 4 or 8 bits, one row for
        each output. ids: row numbers; None for all rows."""

        def chosen(rows: str) -> str:
            return rows if ids is None else writer.put("Gather", [rows, ids], axis=0)

        bits, block, summed = (
            _attribute(self.product, name) for name in ("bits", "block_size", "K")
        )
        blocks = -(-summed // block)
        values, scales = self.product.input[1], self.product.input[2]
        found = _decoded(writer, chosen(values), bits)
        found = writer.put("Reshape", [found, writer.numbers([-1, blocks, block])])
        if len(self.product.input) > 3 and self.product.input[3]:
            bytes_in_row = -(-blocks * bits // 8)
            packed = writer.put(
                "Reshape", [self.product.input[3], writer.numbers([-1, bytes_in_row])]
            )
            zeros = _decoded(writer, chosen(packed), bits)
            zeros = writer.put("Reshape", [zeros, writer.numbers([0, -1])])
            bounds = [writer.numbers([number]) for number in (0, blocks, 1)]
            zeros = writer.put("Slice", [zeros, *bounds])
            middle = writer.put("Unsqueeze", [zeros, writer.numbers([2])])
        else:
            middle = writer.numbers(2 ** (bits - 1), np.float32)
        by_row = writer.put("Reshape", [scales, writer.numbers([-1, blocks, 1])])
        wide = writer.put("Mul", [writer.put("Sub", [found, middle]), chosen(by_row)])
        flat = writer.put("Reshape", [wide, writer.numbers([-1, blocks * block])])
        bounds = [writer.numbers([number]) for number in (0, summed, 1)]
        return writer.put("Slice", [flat, *bounds])


def _decoded(writer: NodeWriter, packed: str, bits: int) -> str:
    """Return bytes as float32 numbers: of 4 bits two for each, the low half first, in a dimension
    of their own behind the others."""
    if bits == 4:
        low = writer.put("BitwiseAnd", [packed, writer.numbers(15, np.uint8)])
        high = writer.put("BitShift", [packed, writer.numbers(4, np.uint8)], direction="RIGHT")
        last = writer.numbers([-1])
        halves = [writer.put("Unsqueeze", [half, last]) for half in (low, high)]
        packed = writer.put("Concat", halves, axis=-1)
    return writer.floats(packed)


def _attribute(node: onnx.NodeProto, name: str) -> int:
    found = next(a for a in node.attribute if a.name == name)
    return int(found.i)
