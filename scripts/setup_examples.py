"""Put what the examples need beyond .venv beside it: Lightning for examples/cyclegan, and the
command `itacad`. A second run finds its stamp and ends at once."""

from __future__ import annotations

import hashlib
import sys

from packages_beside import install_once
from setup_python import ROOT, pip, say

LIGHTNING = ROOT / ".setup" / "lightning"
WANTED = ROOT / "examples" / "cyclegan" / "requirements.txt"


def main() -> int:
    """Install the packages; exit code 1 where pip fails, which says why itself."""

    def install() -> None:
        say("installing Lightning beside .venv")
        # Without dependencies: .venv has torch and the rest of what a training on a CPU imports.
        pip("install", "--no-deps", "--target", str(LIGHTNING), "--requirement", str(WANTED))

    return install_once(LIGHTNING, hashlib.sha256(WANTED.read_bytes()).hexdigest(), install)


if __name__ == "__main__":
    sys.exit(main())
