"""Packages of formats that aren't part of Oriel's own: they are imported where they are installed
beside it, or from a folder of their own, which `make formats-setup` fills. Some of them can't share
an environment, so the folders are on the path only of the process that needs them."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from oriel.errors import OptionError

_OWN = ("onnx", "onnxruntime", "onnxscript")
"""Packages that are installed with Oriel."""
FOLDERS = "ORIEL_FORMATS"
"""The environment variable that names another folder than the repository's .setup/formats."""


def package_paths(
    format_name: str, packages: Sequence[str], wanted_by: str | None = None
) -> list[Path]:
    """Return what must be on the path for these packages: nothing where they are installed, or the
    folder of the format. wanted_by: an option that needs them, where it isn't a format. Raises
    OptionError naming the one that is in neither place."""
    folder = _folder(format_name)
    missing = [package for package in packages if not _is_installed(package, folder)]
    absent = [package for package in missing if not _is_in(folder, package)]
    if absent:
        extra = f"pip install 'oriel[{format_name}]', or in a clone of the repository: make "
        extra += f"formats-setup FORMATS={format_name}"
        how = f"pip install {absent[0]}" if absent[0] in _OWN else extra
        raise OptionError(
            f"{wanted_by or f'the format {format_name}'} needs a package that isn't here",
            got=f"no {absent[0]}",
            next_step=f"install it: {how}.",
        )
    return [folder] if missing else []


def package_version(distribution: str, paths: Sequence[Path]) -> str | None:
    """Return the version of a distribution in these folders or on this process' own path; None
    where it is in neither."""
    search = [*map(str, paths), *sys.path]
    found = importlib.metadata.distributions(name=distribution, path=search)
    return next((each.version for each in found), None)


def _folder(format_name: str) -> Path:
    named = os.environ.get(FOLDERS)
    root = Path(named) if named else Path(__file__).resolve().parents[4] / ".setup" / "formats"
    return root / format_name


def _is_installed(package: str, folder: Path) -> bool:
    """Return whether a package is found elsewhere than in the folder, which a file that was opened
    put on this process' own path."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        return False
    places = [spec.origin or "", *(spec.submodule_search_locations or ())]
    return not any(Path(place).is_relative_to(folder) for place in places if place)


def _is_in(folder: Path, package: str) -> bool:
    return (folder / package).is_dir() or (folder / f"{package}.py").is_file()
