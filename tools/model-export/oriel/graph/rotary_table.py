"""Replaces computed rotary angles by a table: cosine and sine of every position, computed once when
a session is created instead of for each token of each run.

No numbers are stored. The nodes that compute the angles read the constant positions 0 …
context_length - 1 instead of position_ids, so a runtime folds them to a constant when it loads the
graph, and one Gather by position_ids remains. Stored as numbers, the table of a model with 131,072
positions and 64 rotary dimensions would add 34 MB to a graph of 0.1 MB.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnx
from onnx import TensorProto, helper

from oriel.contract.activation_names import ModelShape
from oriel.graph.unread_nodes import drop_unread

POSITIONS = "position_ids"
_TABLE = "rotary_table"
TABLE_ROUNDING = 1e-5
"""Largest relative difference between the table and computed angles. Kernels process the last
elements of an array with other instructions, and a different array length changes which elements
these are."""
_STEPS = ("Unsqueeze", "Cast", "Mul")
"""Operators between position_ids, (batch, seq), and the angles. Mul is the product with the
frequencies of all rotary dimensions; some models then repeat the row with a Concat."""


@dataclass(frozen=True)
class _Angles:
    """A Cos or Sin whose input depends on position_ids alone."""

    function: onnx.NodeProto
    frequencies: str
    """Name of a constant, (rotary dimensions), or half as many if the row is repeated."""
    repeat: onnx.NodeProto | None
    """Concat that repeats the row; None if the model has none."""


def has_table(graph: onnx.GraphProto) -> bool:
    """Return whether the graph reads its rotary angles from a table."""
    return any(node.name == f"{_TABLE}/Range" for node in graph.node)


def tabulate_angles(graph: onnx.GraphProto, shape: ModelShape) -> bool:
    """Replace rotary angles computed from position_ids by rows of a table. Return False if no
    angles were replaced.

    Two kinds of angles stay as they are: those that depend on anything but the position, such as
    angles scaled by the length of the text (the export refuses such models), and those computed by
    unknown operators.
    """
    producers = {name: node for node in graph.node for name in node.output}
    constants = {tensor.name for tensor in graph.initializer}
    constants |= {name for name, node in producers.items() if node.op_type == "Constant"}
    functions = [node for node in graph.node if node.op_type in ("Cos", "Sin")]
    found = [_angles(node, producers, constants) for node in functions]
    if None in found or not found:
        return False
    made = _positions(graph, shape.context_length)
    computed: set[str] = set()
    replaced = {a.function.output[0]: a for a in found if a is not None}
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend(made)
    for node in nodes:
        angles = replaced.get(node.output[0]) if node.output else None
        graph.node.extend([node] if angles is None else _table_nodes(angles, computed))
    drop_unread(graph, [a.function.input[0] for a in replaced.values()])
    return True


def _angles(
    function: onnx.NodeProto, producers: Mapping[str, onnx.NodeProto], constants: set[str]
) -> _Angles | None:
    """Trace a Cos or Sin back to position_ids. Return None if unknown operators lie between."""
    repeat = None
    node = producers.get(function.input[0])
    if node is not None and node.op_type == "Concat" and len(set(node.input)) == 1:
        repeat = node
        node = producers.get(node.input[0])
    if node is None or node.op_type != "Mul":
        return None
    frequencies = next((name for name in node.input if name in constants), "")
    steps: list[str] = []
    while node is not None:
        steps.insert(0, node.op_type)
        varying = [name for name in node.input if name not in constants]
        if len(varying) != 1:
            return None
        if varying[0] == POSITIONS:
            break
        node = producers.get(varying[0])
    return _Angles(function, frequencies, repeat) if tuple(steps) == _STEPS else None


def _positions(graph: onnx.GraphProto, count: int) -> list[onnx.NodeProto]:
    """Return nodes that compute all positions, (count, 1), float32, which is exact up to 2^24."""
    numbers = {"first": 0.0, "end": float(count), "step": 1.0}
    for name, number in numbers.items():
        tensor = helper.make_tensor(f"{_TABLE}/{name}", TensorProto.FLOAT, [], [number])
        graph.initializer.append(tensor)
    axis = helper.make_tensor(f"{_TABLE}/axis", TensorProto.INT64, [1], [1])
    graph.initializer.append(axis)
    row, column = f"{_TABLE}/row", f"{_TABLE}/positions"
    ends = [f"{_TABLE}/{name}" for name in numbers]
    return [
        helper.make_node("Range", ends, [row], f"{_TABLE}/Range"),
        helper.make_node("Unsqueeze", [row, axis.name], [column], f"{_TABLE}/Unsqueeze"),
    ]


def _table_nodes(angles: _Angles, computed: set[str]) -> list[onnx.NodeProto]:
    """Return nodes whose output replaces that of the Cos or Sin, (batch, seq, rotary
    dimensions)."""
    nodes = []
    products = f"{_TABLE}/{angles.frequencies}"
    if products not in computed:
        computed.add(products)
        factors = [f"{_TABLE}/positions", angles.frequencies]
        nodes.append(helper.make_node("Mul", factors, [products], f"{products}/Mul"))
    out = angles.function.output[0]
    table, rows = f"{_TABLE}/{out}", out if angles.repeat is None else f"{_TABLE}/{out}/rows"
    kind = angles.function.op_type
    nodes.append(helper.make_node(kind, [products], [table], f"{table}/{kind}"))
    nodes.append(helper.make_node("Gather", [table, POSITIONS], [rows], f"{table}/Gather", axis=0))
    if angles.repeat is not None:
        beside = helper.make_node("Concat", [rows, rows], [out], f"{table}/Concat", axis=-1)
        nodes.append(beside)
    return nodes
