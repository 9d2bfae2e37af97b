"""Limits for the size of untrusted documents, read from contracts/limits.json as the page does.
strict_json.py applies them to JSON texts, totals.py to manifests."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from oriel.contract.activation_names import contracts_folder


@cache
def limits() -> dict[str, Any]:
    """Return the contents of contracts/limits.json."""
    text = (contracts_folder() / "limits.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def most(part: str, name: str) -> int:
    """Return a limit by its part, 'json', 'manifest' or 'tap', and its name."""
    return int(limits()[part][name])
