"""Put the libraries whose names stand in contracts/activations.json into .setup/peers for the test
that compares their numbers with ours (`make test-peers`); a second run finds its stamp and ends at
once. Each has a folder of its own, since two are versions of one package, and goes before .venv's
packages on PYTHONPATH, so that all compute with the same torch and transformers."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys

from setup_python import REQUIREMENTS, ROOT, pip, say

FOLDER = ROOT / ".setup" / "peers"
STAMP = FOLDER / "oriel-setup"
WANTED = REQUIREMENTS.with_name("requirements-peers.txt")
TABLE = ROOT / "contracts" / "activations.json"
SHARED = "shared"
"""The folder of what all of them import."""


def main() -> int:
    """Install the packages; exit code 1 where pip fails, which says why itself."""
    peers = {
        name: peer["package"]
        for name, peer in json.loads(TABLE.read_text(encoding="utf-8"))["peers"].items()
    }
    digest = hashlib.sha256(WANTED.read_bytes() + json.dumps(peers).encode()).hexdigest()
    if STAMP.is_file() and STAMP.read_text(encoding="utf-8") == digest:
        return 0
    # Into a folder that holds packages pip only adds; what an older pin left would stay.
    shutil.rmtree(FOLDER, ignore_errors=True)
    try:
        _install(SHARED, "--requirement", str(WANTED))
        for name, package in peers.items():
            say(f"installing {package} beside the pinned packages")
            _install(name, package)
    except subprocess.CalledProcessError as error:
        print(f"setup: pip ended with {error.returncode}: see above", file=sys.stderr)
        return 1
    STAMP.write_text(digest, encoding="utf-8")
    return 0


def _install(folder: str, *what: str) -> None:
    """Install without dependencies: torch alone would be several gigabytes for each."""
    pip("install", "--no-deps", "--target", str(FOLDER / folder), *what)


if __name__ == "__main__":
    sys.exit(main())
