"""Closings: nodes that, appended to an open graph, give the tensors that its joints lack. Which
nodes a closing has is the contract's data (`closings` of activations.json)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import onnx
from onnx import TensorProto, helper

from oriel.contract.activation_names import TensorSpec, contract_table
from oriel.contract.data_files import ClosingInput, ClosingNode, ClosingRow
from oriel.errors import GraphError

IDENTITY = "identity"
_ELEMENT = {"float32": TensorProto.FLOAT, "bool": TensorProto.BOOL}


@cache
def closing_rows() -> dict[str, ClosingRow]:
    """Return every way of closing a joint, by its name."""
    return {row["closing"]: row for row in contract_table()["closings"]}


def open_end(joint: str) -> str:
    """Return the name of the tensor that an open graph gives for a joint, before any edit."""
    return f"{joint}/pre"


def closing_input(joint: str, index: int, name: str) -> str:
    """Return the name of a graph's input for the closing of that index at a joint."""
    return f"{joint}/{index}/{name}"


def close_joints(joints: Sequence[TensorSpec], edits: Mapping[str, Sequence[str]]) -> bytes:
    """Return the bytes that, appended to an open graph, close all its joints.

    edits: {joint: its closings in order}; every other joint stays as it is. Raises GraphError for
    a joint or closing that isn't there, or where a closing along a direction meets a joint whose
    last dimension changes from run to run.
    """
    unknown = sorted(set(edits) - {joint.name for joint in joints})
    if unknown:
        raise GraphError("the open graph has no such joint", got=unknown[0])
    addition = onnx.ModelProto()
    for joint in joints:
        chain = list(edits.get(joint.name, ())) or [IDENTITY]
        for index, name in enumerate(chain):
            row = closing_rows().get(name)
            if row is None:
                known = ", ".join(closing_rows())
                raise GraphError("no such closing", got=name, expected=f"one of {known}")
            if row.get("direction") and not isinstance(joint.shape[-1], int):
                raise GraphError(
                    f"{joint.name} has no direction", got=name, expected="a joint of fixed width"
                )
            at = f"{joint.name}/{index}"
            before = open_end(joint.name) if index == 0 else f"{joint.name}/{index - 1}"
            after = joint.name if index == len(chain) - 1 else at
            names = {"{in}": before, "{out}": after}
            addition.graph.node.extend(
                _node(node, names, at, place) for place, node in enumerate(row["nodes"])
            )
            addition.graph.input.extend(_port(joint, index, port) for port in row["inputs"])
    return bytes(addition.SerializeToString(deterministic=True))


def _node(template: ClosingNode, names: Mapping[str, str], at: str, place: int) -> onnx.NodeProto:
    def filled(name: str) -> str:
        return names.get(name, name.replace("{at}", at))

    inputs, outputs = map(filled, template["inputs"]), map(filled, template["outputs"])
    label = f"{at}/{template['op']}_{place}"
    node = helper.make_node(template["op"], list(inputs), list(outputs), label)
    for key, element in (("int64s", TensorProto.INT64), ("floats", TensorProto.FLOAT)):
        values = template.get(key)
        if isinstance(values, list):
            tensor = helper.make_tensor(f"{label}/value", element, [len(values)], values)
            node.attribute.append(helper.make_attribute("value", tensor))
    return node


def _port(joint: TensorSpec, index: int, port: ClosingInput) -> onnx.ValueInfoProto:
    """Describe an input that broadcasts to the joint: of its rank, of any sizes."""
    name = closing_input(joint.name, index, port["name"])
    return helper.make_tensor_value_info(name, _ELEMENT[port["dtype"]], [None] * len(joint.shape))
