"""Compare a folder's programs with expected numbers: inputs.npy in, expected.npy out. Run as a
process of its own, which has never seen the model's code."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import onnxruntime
import torch

RELATIVE, ABSOLUTE = 1e-4, 1e-5


def outputs(folder: Path, inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Return each program's output."""
    tensor = torch.from_numpy(inputs)
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        script = torch.jit.load(folder / "model.ts")(tensor.clone())  # type: ignore[no-untyped-call]
        program = torch.export.load(folder / "model.pt2").module()(tensor.clone())
    return {
        "model.ts": script.numpy(),
        "model.pt2": program.numpy(),
        "model.onnx": session.run(None, {session.get_inputs()[0].name: inputs})[0],
    }


def main(folder: Path) -> int:
    """Print each program's errors; exit code 1 if one is above the bounds."""
    expected = np.load(folder / "expected.npy")
    worst = 0
    for name, found in outputs(folder, np.load(folder / "inputs.npy")).items():
        error = np.abs(found - expected)
        # Relative to the largest value: an absolute bound hides a large share of a small output.
        share = float(error.max() / np.abs(expected).max())
        good = found.shape == expected.shape and share <= RELATIVE and float(error.max()) <= 1e-3
        worst |= not good
        print(
            f"{folder.name}/{name}: {found.shape}, largest error {error.max():.1e}, "
            f"{share:.1e} of the largest value{'' if good else ' - too far'}"
        )
    return int(worst)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
