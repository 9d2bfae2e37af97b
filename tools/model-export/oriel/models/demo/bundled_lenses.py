"""Lens packs of the bundled model, written by `oriel fit-lens --output` with default settings."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent / "lenses"


def bundled_lenses(checkpoint: Path = _FOLDER.parent / "weights") -> dict[str, Path]:
    """Return {name: the pack's file} for the bundled model's folder, and {} for any other
    checkpoint, whose weights these packs don't fit."""
    if checkpoint.resolve() != (_FOLDER.parent / "weights").resolve():
        return {}
    return {file.stem: file for file in sorted(_FOLDER.glob("*.safetensors"))}
