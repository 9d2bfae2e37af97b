"""Processes that can import this package, and nothing else that only the caller's could."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path


def command_of(module: str, *arguments: str) -> list[str]:
    """Return the command that runs a module of this package."""
    # -P: whatever lies in the working folder can't be imported.
    return [sys.executable, "-P", "-m", module, *arguments]


def environment_with(paths: Sequence[Path] = ()) -> dict[str, str]:
    """Return the environment of such a process. paths: folders of packages that come before all
    others."""
    search = [*paths, Path(__file__).resolve().parents[2]]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, search))}


def how_it_ended(exit_code: int, said: str) -> str:
    """Return the exit code, with the last line that a process said: of what ends it without a
    result, that tells most."""
    lines = said.strip().splitlines()
    return f"exit code {exit_code}{': ' + lines[-1] if lines else ''}"
