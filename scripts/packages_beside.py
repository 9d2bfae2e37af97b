"""Install packages into a folder of their own under .setup, once for each list of them. Such a
folder goes before .venv's packages on PYTHONPATH, so that torch isn't installed twice and is the
same."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from setup_python import REQUIREMENTS, pip, say


def install_once(folder: Path, digest: str, install: Callable[[], None]) -> int:
    """Fill the folder unless its stamp says that it was filled for this digest. Return the exit
    code: 1 where pip fails, which says why itself."""
    stamp = folder / "oriel-setup"
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == digest:
        return 0
    # Into a folder that holds packages pip only adds; what an older pin left would stay.
    shutil.rmtree(folder, ignore_errors=True)
    try:
        install()
    except subprocess.CalledProcessError as error:
        print(f"setup: pip ended with {error.returncode}: see above", file=sys.stderr)
        return 1
    stamp.write_text(digest, encoding="utf-8")
    return 0


def install_beside(what: str, folder: Path, wanted: Path) -> int:
    """Install the packages of a requirements file into a folder, once for each version of it.
    Return the exit code.

    Without dependencies: .venv has torch and the rest of what a model on a CPU imports.
    """

    def install() -> None:
        say(f"installing {what} beside .venv")
        pip("install", "--no-deps", "--target", str(folder), "--requirement", str(wanted))

    constraints = REQUIREMENTS.with_name("constraints.txt")
    digest = hashlib.sha256(wanted.read_bytes() + constraints.read_bytes()).hexdigest()
    return install_once(folder, digest, install)
