"""Names of the files by which other libraries (transformers, transformers.js, Optimum) know a
model."""

from __future__ import annotations

CONFIG = "config.json"
GENERATION_CONFIG = "generation_config.json"
GRAPHS = "onnx"
"""The folder, beside these files, that transformers.js reads graphs from."""


def graph_file(suffix: str) -> str:
    """Return the path of a graph whose dtype has this suffix there, such as `_fp16`; none for
    float32. Its weights, if they lie in a file of their own, are in `data_file` of it."""
    return f"{GRAPHS}/model{suffix}.onnx"


def data_file(graph: str, number: int = 0) -> str:
    """Return the name of a file with a graph's weights, which lies beside it: the first, or that of
    a number."""
    return f"{graph}_data" + (f"_{number}" if number else "")
