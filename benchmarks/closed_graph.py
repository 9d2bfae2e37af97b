"""The open graph of a variant with its joints closed, as the page makes it, in a file of its own: a
worker of a benchmark opens it without the page's code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from oriel.contract.activation_names import TensorSpec
from oriel.graph.closings import close_joints


def closed_graph(bundle: Path, variant: dict[str, Any]) -> str:
    """Write the graph beside the bundle's other files. Return its name."""
    record = variant["open"]
    joints = [TensorSpec.from_json(joint) for joint in record["activations"]["joints"]]
    name = record["path"].replace(".open.onnx", ".closed.onnx")
    graph = (bundle / record["path"]).read_bytes()
    (bundle / name).write_bytes(graph + close_joints(joints, {}))
    return str(name)
