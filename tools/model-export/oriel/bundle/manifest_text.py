"""Formats manifest.json, in one way for all that write it."""

from __future__ import annotations

import json

from oriel.contract.documents import ManifestDocument


def manifest_text(data: ManifestDocument) -> str:
    """Return the text, indented by one space and ending in a newline."""
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"
