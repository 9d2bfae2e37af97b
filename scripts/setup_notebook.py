"""Put Jupyter's kernel, what runs and converts notebooks, and anywidget into .setup/notebook for
the tests of oriel.show (`make test-notebook`); a second run finds its stamp and ends at once."""

from __future__ import annotations

import sys

from packages_beside import install_beside
from setup_python import REQUIREMENTS, ROOT


def main() -> int:
    """Install the packages; exit code 1 where pip fails, which says why itself."""
    wanted = REQUIREMENTS.with_name("requirements-notebook.txt")
    return install_beside("Jupyter's packages", ROOT / ".setup" / "notebook", wanted)


if __name__ == "__main__":
    sys.exit(main())
