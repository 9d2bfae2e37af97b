"""The structure of a file that has no place for it inside, from the metadata.json beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

from oriel.contract.strict_json import read_json

METADATA = "metadata.json"
T = TypeVar("T")


def structure_beside(file: Path) -> str | None:
    """Return the JSON of what the flat names stand for, without the dynamic axes that a file of the
    example's sizes hasn't; None where no metadata.json names the file."""
    beside = file.parent / METADATA
    if not beside.is_file():
        return None
    data = read_json(beside.read_bytes(), METADATA)
    exports, signature = _entry(data, "exports", list), _entry(data, "signature", dict)
    named = [row for row in exports or () if file.name in _files_of(row)]
    if not named or signature is None:
        return None
    if _entry(named[0], "fixed_sizes", bool):
        for kind in ("inputs", "outputs"):
            for row in _entry(signature, kind, list) or ():
                row["dynamic_axes"] = {}
    return json.dumps(signature)


def _files_of(row: object) -> list[str | None]:
    """Return the names of an export's file and of its int8 forms."""
    forms = _entry(row, "variants", list) or []
    return [_entry(each, "file", str) for each in (row, *forms)]


def _entry(data: object, key: str, kind: type[T]) -> T | None:
    """Return an entry of a dict; None where it isn't there or is of another kind."""
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, kind) else None
