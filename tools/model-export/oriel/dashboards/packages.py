"""The packages of the extra `dashboards`, imported where they are used."""

from __future__ import annotations

import importlib
from types import ModuleType

from oriel.errors import OptionError

_STEP = (
    "install the extra that brings it: pip install 'oriel[dashboards]', or here "
    "pip install -r tools/model-export/requirements-dashboards.txt."
)


def pyarrow_module() -> ModuleType:
    """Return pyarrow. Raises OptionError where it isn't installed."""
    return _module("pyarrow", "tables")


def ray_module() -> ModuleType:
    """Return Ray. Raises OptionError where it isn't installed."""
    return _module("ray", "--ray")


def _module(name: str, what: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise OptionError(f"{what} needs the package {name}", next_step=_STEP) from error
