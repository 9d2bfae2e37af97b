"""Verification of a module's file in the tests' own process, for tests of other things: a fresh one
imports the runtime of each format anew."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from oriel.modules import run_file
from oriel.modules.fresh_process import Ended


def verify_here(patch: pytest.MonkeyPatch) -> None:
    """Let verify_file run what its process runs, with the same files, in this process."""
    patch.setattr(run_file, "run_fresh", _run)


def _run(folder: Path, _timeout: float, _paths: Sequence[Path] = ()) -> Ended:
    return Ended(run_file.main([str(folder)]), "")
