"""Finds the nodes on the way from one tensor of a graph to another."""

from __future__ import annotations

import onnx


def nodes_between(graph: onnx.GraphProto, start: str, end: str) -> list[onnx.NodeProto]:
    """Return the nodes that lead from one tensor to another, in their order."""
    needed = {end}
    path: list[onnx.NodeProto] = []
    for node in reversed(graph.node):
        if needed & set(node.output) and start not in node.output:
            path.append(node)
            needed |= set(node.input)
    depends = {start}
    found: list[onnx.NodeProto] = []
    for node in reversed(path):
        if depends & set(node.input):
            depends |= set(node.output)
            found.append(node)
    return found
