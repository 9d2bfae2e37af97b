"""Limits for the size of untrusted documents, read from contracts/limits.json as the page does.
strict_json.py applies them to JSON texts, totals.py to manifests."""

from __future__ import annotations

import json
from functools import cache

from oriel.contract.activation_names import contracts_folder
from oriel.contract.data_files import Limits


@cache
def limits() -> Limits:
    """Return the contents of contracts/limits.json."""
    text = (contracts_folder() / "limits.json").read_text(encoding="utf-8")
    loaded: Limits = json.loads(text)
    return loaded
