"""Programs of tests/libraries, which other libraries run in: what goes in and out of each is JSON.
`make test-libraries` installs the libraries and names their folder in ORIEL_LIBRARIES."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

LIBRARIES = Path(os.environ.get("ORIEL_LIBRARIES", ""))
PROGRAMS = Path(__file__).parents[1] / "libraries"
NEEDS_LIBRARIES = [
    pytest.mark.slow,
    pytest.mark.skipif("ORIEL_LIBRARIES" not in os.environ, reason="ORIEL_LIBRARIES names none"),
]


def _run(command: Sequence[str | Path], asked: object, packages: str | None = None) -> Any:
    """Return the JSON that a program of tests/libraries prints. packages: folder of the library."""
    paths = {} if packages is None else {"PYTHONPATH": str(LIBRARIES / packages)}
    done = subprocess.run(
        list(map(str, command)),
        input=json.dumps(asked),
        env={**os.environ, "HF_HUB_OFFLINE": "1", **paths},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout) if done.stdout else None


def run_python(program: str, asked: object, packages: str, *arguments: Path) -> Any:
    """Run a Python program of tests/libraries with the packages in this folder."""
    return _run([sys.executable, PROGRAMS / program, *arguments], asked, packages)


def run_node(program: str, asked: object, *arguments: str | Path) -> Any:
    """Run a program of tests/libraries in Node."""
    return _run(["node", PROGRAMS / program, *arguments], asked)
