"""manifest.json as text: one form for whoever writes it."""

from __future__ import annotations

import json
from typing import Any


def manifest_text(data: dict[str, Any]) -> str:
    """Indented by one space, ending in a newline."""
    return json.dumps(data, indent=1, ensure_ascii=False) + "\n"
