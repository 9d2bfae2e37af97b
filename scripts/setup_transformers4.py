"""Put transformers 4 into .setup/transformers4 for the test of the bundled checkpoint in both
majors (`make test-majors`); a second run finds its stamp and ends at once."""

from __future__ import annotations

import hashlib
import sys

from packages_beside import install_once
from setup_python import REQUIREMENTS, ROOT, pip, say

FOLDER = ROOT / ".setup" / "transformers4"
WANTED = REQUIREMENTS.with_name("requirements-transformers4.txt")


def main() -> int:
    """Install the packages; exit code 1 where pip fails, which says why itself."""
    digest = hashlib.sha256()
    for file in (WANTED, REQUIREMENTS.with_name("constraints.txt")):
        digest.update(file.read_bytes())

    def install() -> None:
        say("installing transformers 4 beside the pinned one")
        pip("install", "--target", str(FOLDER), "--requirement", str(WANTED))

    return install_once(FOLDER, digest.hexdigest(), install)


if __name__ == "__main__":
    sys.exit(main())
