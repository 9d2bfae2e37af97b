"""An ONNX graph before and after ONNX Runtime's optimisation: the number of nodes, and the
operators that it fused others into."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import onnx
import onnxruntime

_ANY = ("", "ai.onnx")


@dataclass(frozen=True)
class OptimizedGraph:
    """Both counts of one graph, with the nodes in its functions and subgraphs left out."""

    nodes: int
    optimized_nodes: int
    fused: dict[str, int]
    """{operator: nodes} of those that the file itself doesn't have."""


def optimized_graph(file: Path) -> OptimizedGraph:
    """Let ONNX Runtime optimise a graph for the CPU as it does when it opens it, and count."""
    before = _operators(onnx.load(file, load_external_data=False))
    with tempfile.TemporaryDirectory(prefix="oriel-graph-") as name:
        target = Path(name) / "optimized.onnx"
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.optimized_model_filepath = str(target)
        options.add_session_config_entry(
            "session.optimized_model_external_initializers_file_name", "weights.data"
        )
        onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        after = _operators(onnx.load(target, load_external_data=False))
    fused = {name: count for name, count in after.items() if name not in before}
    ordered = dict(sorted(fused.items(), key=lambda row: -row[1]))
    return OptimizedGraph(before.total(), after.total(), ordered)


def _operators(model: onnx.ModelProto) -> Counter[str]:
    return Counter(
        node.op_type if node.domain in _ANY else f"{node.domain}.{node.op_type}"
        for node in model.graph.node
    )
