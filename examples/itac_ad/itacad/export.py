"""A trained detector as a file: O1 and score, compared in a process of its own before the file
takes its place."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from itacad.infer.predict import load_model
from itacad.model.detector import Detector, Scorer
from itacad.programs import write_onnx, write_torchscript
from oriel.bundle.atomic_folder import unwritable
from oriel.errors import GraphError

VERIFIER = Path(__file__).with_name("verify_program.py")


def export_torchscript(
    checkpoint: str | Path, L: int = 16, D: int = 8, path: str | Path = "exports/model.ts"
) -> str:
    """Write TorchScript, windows (B, L, D) → O1 (B, L, D) and score (B,), and return the report of
    its comparison. Raises an OrielError, with no file written, where it isn't the detector."""
    return _export(checkpoint, (L, D), Path(path), write_torchscript)


def export_onnx(
    checkpoint: str | Path, L: int = 16, D: int = 8, path: str | Path = "exports/model.onnx"
) -> str:
    """Write ONNX of opset 17 as export_torchscript does TorchScript."""
    return _export(checkpoint, (L, D), Path(path), write_onnx)


Writer = Callable[[nn.Module, Tensor, Path], None]


def _export(checkpoint: str | Path, sizes: tuple[int, int], path: Path, write: Writer) -> str:
    model, _, _ = load_model(checkpoint)
    model.export_sanity(*sizes)
    scorer = Scorer(model).eval()
    draw = torch.Generator().manual_seed(1)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            staged = Path(folder) / path.name
            write(scorer, torch.randn((2, *sizes), generator=draw), staged)
            # Another batch than the example's two.
            report = verify(model, staged, torch.randn((3, *sizes), generator=draw))
            staged.replace(path)
    except OSError as error:
        raise unwritable(path.parent, error, movable=False) from error
    whole = sum(value.nbytes for value in model.state_dict().values())
    kept = sum(value.nbytes for value in scorer.state_dict().values())
    left = f"left out what only training needs: {whole - kept:,} of {whole:,} bytes"
    return f"{report}\n{path}: {path.stat().st_size:,} bytes; {left}"


def verify(model: Detector, program: Path, windows: Tensor) -> str:
    """Compare a program with the whole detector in a process of its own, and return its report.
    Raises GraphError where it differs."""
    with torch.no_grad():
        expected = model(windows)
    with tempfile.TemporaryDirectory() as folder:
        numbers = Path(folder) / "numbers.npz"
        outputs = {name: expected[name].numpy() for name in ("O1", "score")}
        np.savez(numbers, W=windows.numpy(), **outputs)
        command = [sys.executable, str(VERIFIER), str(program), str(numbers)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip().splitlines()
        raise GraphError(
            f"{program.name} isn't the detector",
            got="; ".join(said[-2:]),
            expected="at most 1e-4 of each output's largest value",
            next_step="nothing was written.",
        )
    return done.stdout.rstrip()
