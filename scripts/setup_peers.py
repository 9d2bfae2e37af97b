"""Put the libraries whose names stand in contracts/activations.json into .setup/peers for the test
that compares their numbers with ours (`make test-peers`); a second run finds its stamp and ends at
once. Each has a folder of its own, since two are versions of one package."""

from __future__ import annotations

import hashlib
import json
import sys

from packages_beside import install_once
from setup_python import REQUIREMENTS, ROOT, pip, say

FOLDER = ROOT / ".setup" / "peers"
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

    def install() -> None:
        _install(SHARED, "--requirement", str(WANTED))
        for name, package in peers.items():
            say(f"installing {package} beside the pinned packages")
            _install(name, package)

    return install_once(FOLDER, digest, install)


def _install(folder: str, *what: str) -> None:
    """Install without dependencies: torch alone would be several gigabytes for each."""
    pip("install", "--no-deps", "--target", str(FOLDER / folder), *what)


if __name__ == "__main__":
    sys.exit(main())
