"""Put the packages of formats that Oriel's own don't include beside .venv, a folder for each format
under .setup/formats, where oriel finds them. Words choose the formats. A second run finds its
stamps and ends at once."""

from __future__ import annotations

import sys

from packages_beside import install_beside
from setup_python import REQUIREMENTS, ROOT

FOLDERS = ROOT / ".setup" / "formats"
WANTED = REQUIREMENTS.parent / "requirements-formats"


def main() -> int:
    """Install the packages; exit code 1 where pip fails, which says why itself."""
    known = sorted(file.stem for file in WANTED.glob("*.txt"))
    chosen = sys.argv[1:] or known
    unknown = [name for name in chosen if name not in known]
    if unknown:
        expected = ", ".join(known)
        print(f"setup: no format {unknown[0]} has packages; expected {expected}", file=sys.stderr)
        return 2
    return max(install_beside(name, FOLDERS / name, WANTED / f"{name}.txt") for name in chosen)


if __name__ == "__main__":
    sys.exit(main())
