"""Dictionaries of the bundled model, written by `oriel train-dictionary`; docs/dictionaries.md has
the command."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent / "dictionaries"


def bundled_dictionaries(checkpoint: Path = _FOLDER.parent / "weights") -> dict[str, Path]:
    """Return {name: the dictionary's file} for the bundled model's folder, and {} for any other
    checkpoint, whose weights these dictionaries don't fit."""
    if checkpoint.resolve() != (_FOLDER.parent / "weights").resolve():
        return {}
    return {file.stem: file for file in sorted(_FOLDER.glob("*.safetensors"))}
