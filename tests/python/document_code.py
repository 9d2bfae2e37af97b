"""Runs the Python of a document of docs/ on the bundled model."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import demo_bundle

DOCUMENTS = Path(__file__).resolve().parents[2] / "docs"
_NAMED = 'oriel.Bundle("apps/web/static/models/demo")'


def text_of(name: str) -> str:
    """Return a document's text."""
    return (DOCUMENTS / name).read_text(encoding="utf-8")


def run_document(name: str) -> dict[str, object]:
    """Run a document's Python code from top to bottom, on the bundled model, which is exported
    where it isn't up to date. Return its variables."""
    subprocess.run([sys.executable, demo_bundle.__file__], check=True)
    code = "\n".join(re.findall(r"^```python\n(.*?)^```$", text_of(name), re.MULTILINE | re.DOTALL))
    assert _NAMED in code
    code = code.replace(_NAMED, f"oriel.Bundle({str(demo_bundle.MANIFEST.parent)!r})")
    found: dict[str, object] = {}
    exec(compile(code, f"docs/{name}", "exec"), found)  # noqa: S102
    return found
