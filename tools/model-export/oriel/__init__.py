"""Oriel's exporter: from a transformer checkpoint to a proven ONNX bundle with activations."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oriel.modules.export_module import export_module
    from oriel.modules.open_module import open_module
    from oriel.modules.slim import slim
    from oriel.modules.spec import ModuleSpec
    from oriel.notebook.show import show
    from oriel.runtime.bundle import Bundle
    from oriel.runtime.edit_json import edits_from_json, edits_to_json
    from oriel.runtime.edits import Add, Cap, Clamp, KnockOut, ProjectOut, Replace, Scale, Swap

__all__ = [
    "Add",
    "Bundle",
    "Cap",
    "Clamp",
    "KnockOut",
    "ModuleSpec",
    "ProjectOut",
    "Replace",
    "Scale",
    "Swap",
    "__version__",
    "edits_from_json",
    "edits_to_json",
    "export_module",
    "open_module",
    "show",
    "slim",
]
__version__ = "0.1.0"

_LAZY = {
    "export_module": "oriel.modules.export_module",
    "open_module": "oriel.modules.open_module",
    "slim": "oriel.modules.slim",
    "ModuleSpec": "oriel.modules.spec",
    "show": "oriel.notebook.show",
    "Bundle": "oriel.runtime.bundle",
    **dict.fromkeys(("edits_from_json", "edits_to_json"), "oriel.runtime.edit_json"),
    **dict.fromkeys(
        ("Scale", "Add", "Replace", "KnockOut", "ProjectOut", "Cap", "Swap", "Clamp"),
        "oriel.runtime.edits",
    ),
}
"""Names that the package offers, with their modules: imported when they are asked for, since some
bring torch."""


def __getattr__(name: str) -> Callable[..., object]:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: Callable[..., object] = getattr(importlib.import_module(_LAZY[name]), name)
    return found
