"""Commands called in the tests' own process, as the scripts of tools/model-export call them."""

from __future__ import annotations

from collections.abc import Sequence

from oriel.cli import main


def export_main(argv: Sequence[str]) -> int:
    """Return the exit code of export.py."""
    return main(["export", *argv], "export.py")


def verify_main(argv: Sequence[str]) -> int:
    """Return the exit code of verify.py."""
    return main(["verify", *argv], "verify.py")
