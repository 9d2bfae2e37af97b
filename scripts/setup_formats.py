"""Put the packages of formats that Oriel's own don't include beside .venv, a folder for each format
under .setup/formats, where oriel finds them. Words choose the formats. A second run finds its
stamps and ends at once."""

from __future__ import annotations

import shutil
import sys

from packages_beside import install_beside
from setup_python import REQUIREMENTS, ROOT

FOLDERS = ROOT / ".setup" / "formats"
WANTED = REQUIREMENTS.parent / "requirements-formats"


OF_GPUS = ("tensorrt",)
"""Gigabytes that are of no use without NVIDIA's driver: there they are installed only by name."""


def has_gpu() -> bool:
    """Return whether NVIDIA's driver is here."""
    return shutil.which("nvidia-smi") is not None


def main() -> int:
    """Install the packages; exit code 1 where pip fails, which says why itself."""
    known = sorted(file.stem for file in WANTED.glob("*.txt"))
    chosen = sys.argv[1:] or [name for name in known if name not in OF_GPUS or has_gpu()]
    unknown = [name for name in chosen if name not in known]
    if unknown:
        expected = ", ".join(known)
        print(f"setup: no format {unknown[0]} has packages; expected {expected}", file=sys.stderr)
        return 2
    return max(install_beside(name, FOLDERS / name, WANTED / f"{name}.txt") for name in chosen)


if __name__ == "__main__":
    sys.exit(main())
