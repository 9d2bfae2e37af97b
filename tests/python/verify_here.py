"""Verification of a module's file in the tests' own process, for tests of other things: to start a
fresh one takes seconds for each file."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest

from oriel.modules import verify_module


def verify_here(patch: pytest.MonkeyPatch) -> None:
    """Let verify_file run what its process runs, with the same files, in this process."""
    patch.setattr(verify_module, "subprocess", SimpleNamespace(run=_run))


def _run(command: Sequence[str], cwd: Path, **_: object) -> subprocess.CompletedProcess[bytes]:
    return subprocess.CompletedProcess(command, verify_module.main([str(cwd)]), b"", b"")
