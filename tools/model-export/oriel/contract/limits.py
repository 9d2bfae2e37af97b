"""How large a document from anyone may be, read from contracts/limits.json as the page does. JSON
texts are held to it in strict_json.py, manifests in totals.py."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from oriel.contract.activation_names import contracts_folder


@cache
def limits() -> dict[str, Any]:
    """contracts/limits.json."""
    text = (contracts_folder() / "limits.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def most(part: str, name: str) -> int:
    """A limit by its part, 'json', 'manifest' or 'tap', and its name."""
    return int(limits()[part][name])
