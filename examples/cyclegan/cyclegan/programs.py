"""A generator as TorchScript, PT2 and ONNX with dynamic batch and time. The only file here that
knows how programs are written; verify_programs.py reads them back in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from oriel.errors import OrielError

VERIFIER = Path(__file__).with_name("verify_programs.py")
PROGRAMS = ("model.ts", "model.pt2", "model.onnx")


def export_programs(generator: nn.Module, folder: Path, example: Tensor) -> None:
    """Write a generator's programs. example: (batch, time, features), no size of it 0 or 1."""
    folder.mkdir(parents=True)
    generator.eval()
    sizes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("time")}
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        # The default check compares the wrong things for some layers; numbers are compared instead.
        traced = torch.jit.trace(generator, example, check_trace=False)  # type: ignore[no-untyped-call]
        torch.jit.freeze(traced).save(str(folder / "model.ts"))
        program = torch.export.export(generator, (example,), dynamic_shapes=(sizes,))
        torch.export.save(program, folder / "model.pt2")
        graph = torch.onnx.export(program, dynamo=True, external_data=False, verbose=False)
        assert graph is not None
        graph.save(folder / "model.onnx")


def verify_programs(generator: nn.Module, folder: Path, inputs: Tensor) -> str:
    """Compare the programs with the generator on inputs of other sizes than the example's, in a
    process of their own. Return its report; OrielError where one differs."""
    np.save(folder / "inputs.npy", inputs.numpy())
    with torch.no_grad():
        np.save(folder / "expected.npy", generator(inputs).numpy())
    done = subprocess.run(
        [sys.executable, str(VERIFIER), str(folder)], capture_output=True, text=True, check=False
    )
    for name in ("inputs.npy", "expected.npy"):
        (folder / name).unlink()
    if done.returncode != 0:
        raise OrielError(
            f"the programs in {folder.name} aren't the generator's",
            got=(done.stdout + done.stderr).strip(),
        )
    return done.stdout.rstrip()
