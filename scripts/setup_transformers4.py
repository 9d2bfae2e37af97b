"""Put transformers 4 into .setup/transformers4 for the test of the bundled checkpoint in both
majors (`make test-majors`); a second run finds its stamp and ends at once. The folder holds
packages alone and goes before .venv's on PYTHONPATH, so that torch isn't installed twice and is
the same."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys

from setup_python import REQUIREMENTS, ROOT, pip, say

FOLDER = ROOT / ".setup" / "transformers4"
STAMP = FOLDER / "oriel-setup"
WANTED = REQUIREMENTS.with_name("requirements-transformers4.txt")


def main() -> int:
    """Install the packages; exit code 1 where pip fails, which says why itself."""
    digest = hashlib.sha256()
    for file in (WANTED, REQUIREMENTS.with_name("constraints.txt")):
        digest.update(file.read_bytes())
    if STAMP.is_file() and STAMP.read_text(encoding="utf-8") == digest.hexdigest():
        return 0
    say("installing transformers 4 beside the pinned one")
    # Into a folder that holds packages pip only adds; what an older pin left would stay.
    shutil.rmtree(FOLDER, ignore_errors=True)
    try:
        pip("install", "--target", str(FOLDER), "--requirement", str(WANTED))
    except subprocess.CalledProcessError as error:
        print(f"setup: pip ended with {error.returncode}: see above", file=sys.stderr)
        return 1
    STAMP.write_text(digest.hexdigest(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
