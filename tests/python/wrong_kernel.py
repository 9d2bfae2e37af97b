"""Runs `oriel check-device` while the runtime computes one product of one layer wrong, as a broken
kernel does: the files of the bundle stay as they are.

As a program, it takes the arguments of check-device, for runs in a process of their own.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import numpy as np
from onnx import ModelProto, helper, numpy_helper

from oriel.cli import main
from oriel.runtime.every_activation import every_activation

WRONG = "h.2.mlp.c_proj.weight"
"""Part of the names of the weight, and of its scales, whose product is computed wrong."""

PLACE = "oriel.device.check_device.every_activation"


def with_wrong_product(graph: bytes) -> bytes:
    """Return a graph that computes 1.5 times the product with the weight, and all else as it
    does."""
    model = ModelProto.FromString(graph)
    (node,) = (
        node
        for node in model.graph.node
        if node.op_type in ("MatMul", "MatMulNBits") and any(WRONG in name for name in node.input)
    )
    (output,) = node.output
    node.output[0] = "right_product"
    model.graph.initializer.append(
        numpy_helper.from_array(np.array(1.5, dtype=np.float32), "wrong_scale")
    )
    model.graph.node.append(helper.make_node("Mul", ["right_product", "wrong_scale"], [output]))
    changed: bytes = model.SerializeToString()
    return changed


def breaking(run: Callable[..., Any]) -> Callable[..., Any]:
    """Return check_device's function of a run, with a graph that computes one product wrong."""

    def run_wrong(variant: Any, graph: bytes, *rest: Any) -> Any:
        return run(variant, with_wrong_product(graph), *rest)

    return run_wrong


if __name__ == "__main__":
    with patch(PLACE, breaking(every_activation)):
        sys.exit(main(["check-device", *sys.argv[1:]]))
