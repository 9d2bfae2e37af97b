"""Sizes that a browser can hold, read from contracts/browser_memory.json as the page does."""

from __future__ import annotations

import json
from functools import cache

from oriel.contract.activation_names import contracts_folder
from oriel.contract.data_files import BrowserMemory


@cache
def browser_memory() -> BrowserMemory:
    """Return the contents of contracts/browser_memory.json."""
    text = (contracts_folder() / "browser_memory.json").read_text(encoding="utf-8")
    loaded: BrowserMemory = json.loads(text)
    return loaded
