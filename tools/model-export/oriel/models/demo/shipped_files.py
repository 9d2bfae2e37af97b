"""Files that ship with the bundled model and are added to its exports: lens packs, written by
`oriel fit-lens --output`, and dictionaries, written by `oriel train-dictionary`, both with default
settings."""

from __future__ import annotations

from pathlib import Path

_HERE = Path(__file__).parent
_WEIGHTS = _HERE / "weights"


def bundled_lenses(checkpoint: Path = _WEIGHTS) -> dict[str, Path]:
    """Return {name: a lens pack's file}, as `_shipped` does."""
    return _shipped("lenses", checkpoint)


def bundled_dictionaries(checkpoint: Path = _WEIGHTS) -> dict[str, Path]:
    """Return {name: a dictionary's file}, as `_shipped` does."""
    return _shipped("dictionaries", checkpoint)


def _shipped(folder: str, checkpoint: Path) -> dict[str, Path]:
    """Return {name: file} of a folder's for the bundled model's checkpoint, and {} for any other,
    whose weights the files don't fit."""
    if checkpoint.resolve() != _WEIGHTS.resolve():
        return {}
    return {file.stem: file for file in sorted((_HERE / folder).glob("*.safetensors"))}
