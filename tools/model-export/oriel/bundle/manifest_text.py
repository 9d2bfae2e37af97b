"""Formats manifest.json, in one way for all that write it."""

from __future__ import annotations

import json

from oriel.contract.documents import ManifestDocument


def manifest_text(data: ManifestDocument) -> str:
    """Return the text, on one line that ends in a newline: indented, it would be a third longer."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n"
