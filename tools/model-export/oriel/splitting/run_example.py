"""Running the written example in a process of its own, before its folder takes its place."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from oriel.errors import CheckpointError
from oriel.splitting.inference_script import SCRIPT

_TIMEOUT_S = 120


def run_example(folder: Path) -> None:
    """Run inference_example.py in its folder, as a user will. Raises CheckpointError, with the last
    line that it printed, where it fails."""
    # Nothing of the project's may be on the path: the folder must be enough.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    environment |= {"CUDA_VISIBLE_DEVICES": "", "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            [sys.executable, SCRIPT],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        failed, said = done.returncode != 0, done.stderr
    except subprocess.TimeoutExpired:
        failed, said = True, f"no end after {_TIMEOUT_S} s"
    if failed:
        raise CheckpointError(
            f"{SCRIPT} doesn't run in its folder",
            got=(said.strip().splitlines() or ["no message"])[-1],
            expected="a network that imports torch alone and takes (batch, time, features)",
            next_step="see the class that --network names, and the statistics; nothing was "
            "written.",
        )
