"""Put what the examples need beyond .venv beside it: Lightning for examples/cyclegan, and the
command `itacad`. A second run finds its stamp and ends at once."""

from __future__ import annotations

import hashlib
import sys

from packages_beside import install_once
from setup_python import ROOT, pip, say, venv_python

LIGHTNING = ROOT / ".setup" / "lightning"
WANTED = ROOT / "examples" / "cyclegan" / "requirements.txt"


def main() -> int:
    """Install the packages; exit code 1 where pip fails, which says why itself."""

    def install() -> None:
        say("installing Lightning beside .venv")
        # Without dependencies: .venv has torch and the rest of what a training on a CPU imports.
        pip("install", "--no-deps", "--target", str(LIGHTNING), "--requirement", str(WANTED))

    code = install_once(LIGHTNING, hashlib.sha256(WANTED.read_bytes()).hexdigest(), install)
    if code == 0 and not venv_python().with_name("itacad").exists():
        say("installing the command itacad into .venv")
        pip("install", "--no-deps", "--editable", str(ROOT / "examples" / "itac_ad"))
    return code


if __name__ == "__main__":
    sys.exit(main())
