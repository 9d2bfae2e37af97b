"""Lens packs of the bundled model: `oriel fit-lens --output` wrote them, by its defaults."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent / "lenses"


def bundled_lenses() -> dict[str, Path]:
    """Return {name: the pack's file}."""
    return {file.stem: file for file in sorted(_FOLDER.glob("*.safetensors"))}
