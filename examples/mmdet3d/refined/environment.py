"""MMDetection3D from the folder that scripts/setup_examples.py fills, made importable without its
compiled operators."""

from __future__ import annotations

import importlib.util
import logging
import sys
import warnings
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from oriel.errors import ModuleError, OptionError
from refined.voxelize import hard_voxelize_forward

SETUP = Path(__file__).resolve().parents[3] / ".setup"
PACKAGES = SETUP / "mmdet3d"
STAMP = "oriel-setup"
"""The file in it that says that the installation is whole."""
_OPERATORS = "mmcv._ext"


class NoOperators(ModuleType):
    """Stands for mmcv's compiled operators: each can be imported, and says in one line that it
    isn't there once a model calls it. Sorting points into voxels is there, in plain PyTorch."""

    hard_voxelize_forward = staticmethod(hard_voxelize_forward)

    def __getattr__(self, name: str) -> object:
        if name.startswith("__"):
            raise AttributeError(name)

        def missing(*_: object, **__: object) -> None:
            raise needs_cuda(f"{name} of mmcv")

        return missing


def needs_cuda(got: str) -> ModuleError:
    """Return the error of a detector that can't run here. got: what it called."""
    return ModuleError(
        "the detector calls an operator that is compiled for CUDA",
        got=got,
        expected="plain PyTorch operators, which run on a CPU and export",
        next_step="export a detector of pillars: PointPillars, or CenterPoint with pillars.",
    )


def use_mmdet3d(packages: Path = PACKAGES) -> Path:
    """Make `import mmdet3d` work, with its models in the registry, and return the package's folder.
    Raises OptionError where it isn't installed."""
    if not (packages / STAMP).is_file():
        raise OptionError(
            "MMDetection3D isn't installed",
            got=f"no {packages}",
            next_step="run python scripts/setup_examples.py mmdet3d first.",
        )
    if str(packages) not in sys.path:
        sys.path.insert(0, str(packages))
    if _OPERATORS not in sys.modules:
        operators = NoOperators(_OPERATORS)
        # mmengine asks whether it can be found, to know that there is no compiled mmcv.
        operators.__spec__ = ModuleSpec(_OPERATORS, None)
        sys.modules[_OPERATORS] = operators
    with warnings.catch_warnings():
        # They warn of features of their own that are to go.
        warnings.simplefilter("ignore")
        logging.getLogger("mmengine").setLevel(logging.ERROR)
        import mmdet3d.models
        from mmengine.registry import init_default_scope

        init_default_scope("mmdet3d")
    return Path(mmdet3d.__file__).parent


def package_folder(packages: Path = PACKAGES) -> Path | None:
    """Return the folder of the installed mmdet3d without importing it; None where there is none."""
    if (packages / "mmdet3d").is_dir():
        return packages / "mmdet3d"
    found = importlib.util.find_spec("mmdet3d")
    return Path(found.origin).parent if found and found.origin else None
