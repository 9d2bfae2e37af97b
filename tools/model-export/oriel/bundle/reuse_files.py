"""Files of a bundle that stay as they are, put into the folder that will take its place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path


def reuse_files(old: Path, new: Path, names: Iterable[str]) -> None:
    """Link each file, so that GBs needn't be written twice; copy where there are no hard links."""
    for name in names:
        target = new / name
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(old / name, target)
        except OSError:
            shutil.copy2(old / name, target)
