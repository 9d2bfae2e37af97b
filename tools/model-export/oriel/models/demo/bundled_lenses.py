"""Lens packs of the bundled model: `oriel fit-lens --output` wrote them, by its defaults."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent / "lenses"


def bundled_lenses(checkpoint: Path = _FOLDER.parent / "weights") -> dict[str, Path]:
    """Return {name: the pack's file} for the bundled model's folder; none for another checkpoint's,
    whose weights no pack here belongs to."""
    if checkpoint.resolve() != (_FOLDER.parent / "weights").resolve():
        return {}
    return {file.stem: file for file in sorted(_FOLDER.glob("*.safetensors"))}
