"""A trained detector as a file of O1 and score, by oriel.export_module: without what only training
needs, and compared in a process of its own before the file takes its place."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

from itacad.infer.predict import load_model
from itacad.model.detector import Detector
from oriel import export_module
from oriel.bundle.atomic_folder import unwritable
from oriel.errors import GraphError
from oriel.modules.export_module import ModuleExportReport

OPSET = 17
"""Of the ONNX file. The newer exporter takes 17 and writes 18."""


def export_torchscript(
    checkpoint: str | Path, L: int = 16, D: int = 8, path: str | Path = "exports/model.ts"
) -> str:
    """Write TorchScript, windows (B, L, D) → O1 (B, L, D) and score (B,), and return the report of
    its comparison. Raises an OrielError, with no file written, where it isn't the detector."""
    return export_as("ts", checkpoint, (L, D), Path(path))


def export_onnx(
    checkpoint: str | Path, L: int = 16, D: int = 8, path: str | Path = "exports/model.onnx"
) -> str:
    """Write ONNX of opset 17 as export_torchscript does TorchScript."""
    return export_as("onnx", checkpoint, (L, D), Path(path))


def export_as(form: str, checkpoint: str | Path, sizes: tuple[int, int], path: Path) -> str:
    """Write a file of the format `ts`, `pt2` or `onnx`, and return its report. sizes: L and D."""
    model, _, _ = load_model(checkpoint)
    model.export_sanity(*sizes)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            report = _exported(model, form, Path(folder) / "export")
            (written,) = report.files
            if written.file is None:
                raise GraphError(
                    f"{path.name} isn't the detector",
                    got=written.error,
                    expected="a file that computes what the detector does",
                    next_step="nothing was written.",
                )
            written.file.replace(path)
    except OSError as error:
        raise unwritable(path.parent, error, movable=False) from error
    return "\n".join(_lines(report, path))


def _exported(model: Detector, form: str, out: Path) -> ModuleExportReport:
    example = torch.randn(
        (2, model.config.L, model.config.D), generator=torch.Generator().manual_seed(1)
    )
    return export_module(
        model,
        (example,),
        formats=(form,),
        # The batch alone: a Linear over time makes L part of the weights.
        dynamic={"W": {0: "batch"}},
        outputs=("O1", "score"),
        opset=OPSET if form == "onnx" else None,
        out=out,
    )


def _lines(report: ModuleExportReport, path: Path) -> list[str]:
    (written,) = report.files
    opset = "" if written.opset is None else f", opset {written.opset}"
    lines = [f"{path}: {path.stat().st_size:,} bytes, by {written.way}{opset}"]
    lines += [
        f"  on {case.name}: "
        + ", ".join(f"{o.name} off by {o.relative or 0:.1e}" for o in case.outputs)
        + " of its largest value"
        for case in written.cases
    ]
    lines += [f"  {note}" for note in report.metadata["notes"]]
    return lines + [f"  left {left.way}: {left.reason}" for left in written.left]
