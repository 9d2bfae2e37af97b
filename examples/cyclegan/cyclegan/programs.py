"""A generator as TorchScript, PT2 and ONNX with dynamic batch and time."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from oriel import export_module
from oriel.errors import GraphError

FORMATS = ("ts", "pt2", "onnx")
PROGRAMS = ("model.ts", "model.pt2", "model.onnx", "metadata.json")


def export_programs(generator: nn.Module, folder: Path, example: Tensor) -> str:
    """Write a generator's programs, each compared with it in a fresh process on another batch and
    another length, and return a line for each. Raises GraphError where one couldn't be written.

    example: normalised features, (batch, time, features), no size of it 0 or 1.
    """
    report = export_module(
        generator,
        (example,),
        formats=FORMATS,
        dynamic={"x": {0: "batch", 1: "time"}},
        out=folder,
    )
    lines = []
    for file in report.files:
        if file.file is None:
            raise GraphError(
                f"{folder.name} can't be written as {file.format}",
                got=file.error,
                expected="a file that computes what the generator does",
            )
        errors = [output.relative or 0 for case in file.cases for output in case.outputs]
        lines.append(
            f"{folder.name}/{file.file.name}: {file.way}, at most {max(errors):.1e} of the largest "
            "value off"
        )
        lines += [f"  left {left.way}: {left.reason}" for left in file.left]
    return "\n".join(lines)
