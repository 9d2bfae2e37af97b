"""Compare a program with expected numbers, in a process that has never seen the model's code:
verify_program.py PROGRAM NUMBERS.npz, with W, O1 and score."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np

BOUND = 1e-4
"""Largest error of an output, as a share of its largest value."""


def run(program: Path, windows: np.ndarray) -> list[np.ndarray]:
    """Return O1 and score."""
    if program.suffix == ".onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(program)
        found: list[np.ndarray] = session.run(["O1", "score"], {"W": windows})
        return found
    import torch

    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        outputs = torch.jit.load(program)(torch.from_numpy(windows))  # type: ignore[no-untyped-call]
    return [output.numpy() for output in outputs]


def main(program: Path, numbers: Path) -> int:
    """Print the errors; exit code 1 if one is above the bound or a shape is another."""
    expected = np.load(numbers)
    good = True
    for name, found in zip(("O1", "score"), run(program, expected["W"]), strict=True):
        wanted = expected[name]
        error = np.abs(found - wanted).max() if found.shape == wanted.shape else np.inf
        share = float(error / np.abs(wanted).max())
        good &= share <= BOUND
        print(f"{program.name}: {name} {found.shape}, {share:.1e} of its largest value")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
