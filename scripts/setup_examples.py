"""Put what the examples need beyond .venv beside it: Lightning for examples/cyclegan, MMDetection3D
and IREE for examples/mmdet3d, and the command `itacad`. A second run finds its stamps and ends at
once."""

from __future__ import annotations

import sys

from packages_beside import install_beside
from setup_formats import FOLDERS as FORMATS
from setup_formats import WANTED
from setup_python import ROOT, pip, say, venv_python

EXAMPLES = ROOT / "examples"
LIGHTNING = ROOT / ".setup" / "lightning"
MMDET3D = ROOT / ".setup" / "mmdet3d"


def main() -> int:
    """Install the packages; exit code 1 where pip fails, which says why itself. Words choose the
    examples that they name."""
    setups = {"cyclegan": setup_cyclegan, "itac_ad": setup_itac_ad, "mmdet3d": setup_mmdet3d}
    chosen = sys.argv[1:] or list(setups)
    unknown = [name for name in chosen if name not in setups]
    if unknown:
        known = ", ".join(setups)
        print(f"setup: no example {unknown[0]} needs a setup; expected {known}", file=sys.stderr)
        return 2
    return max(setups[name]() for name in chosen)


def setup_cyclegan() -> int:
    """Install Lightning."""
    return install_beside("Lightning", LIGHTNING, EXAMPLES / "cyclegan" / "requirements.txt")


def setup_mmdet3d() -> int:
    """Install MMDetection3D without compiled operators, with its configs, and IREE."""
    wanted = EXAMPLES / "mmdet3d" / "requirements.txt"
    code = install_beside("MMDetection3D", MMDET3D, wanted)
    return code or install_beside("IREE", FORMATS / "iree", WANTED / "iree.txt")


def setup_itac_ad() -> int:
    """Install the command itacad."""
    if not venv_python().with_name("itacad").exists():
        say("installing the command itacad into .venv")
        pip("install", "--no-deps", "--editable", str(ROOT / "examples" / "itac_ad"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
