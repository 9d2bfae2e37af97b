"""A scorer as TorchScript or ONNX. The only file here that knows how programs are written."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from oriel.errors import GraphError

OPSET = 17


def write_torchscript(scorer: nn.Module, example: Tensor, path: Path) -> None:
    """Trace and freeze. The default check of a trace raises on correct encoder layers, whose fused
    path differs; verify_program compares numbers instead."""
    with _plain_tracing():
        traced = torch.jit.trace(scorer.eval(), example, check_trace=False)  # type: ignore[no-untyped-call]
        torch.jit.freeze(traced).save(str(path))


def write_onnx(scorer: nn.Module, example: Tensor, path: Path) -> None:
    """Write ONNX of opset 17 by the classic exporter: the other one takes 17 and writes 18. The
    batch is the only dynamic axis, since a Linear over time makes L part of the weights. Raises
    GraphError if the file says another opset."""
    with _plain_tracing():
        torch.onnx.export(
            scorer.eval(),
            (example,),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=["W"],
            output_names=["O1", "score"],
            dynamic_axes={name: {0: "batch"} for name in ("W", "O1", "score")},
        )
    graph = onnx.load(path)
    opset = next((o.version for o in graph.opset_import if o.domain in ("", "ai.onnx")), None)
    if opset != OPSET:
        raise GraphError(f"{path.name} is of another opset", got=str(opset), expected=str(OPSET))
    onnx.checker.check_model(graph)


@contextmanager
def _plain_tracing() -> Iterator[None]:
    """Trace attention as plain operators, not as the fused ones of eval mode."""
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
