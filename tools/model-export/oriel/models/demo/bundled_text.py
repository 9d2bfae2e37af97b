"""Plain sentences for calibration, fidelity and verification: text of the kind that the bundled
model was trained on. examples/story_gpt2 writes the files."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent / "passages"


def training_passages() -> tuple[str, ...]:
    """Return 400 passages of the mix that the bundled model was trained on."""
    return _read("training")


def held_out_passages() -> tuple[str, ...]:
    """Return 400 passages of the same mix, none of which the bundled model was trained on."""
    return _read("held_out")


@cache
def _read(name: str) -> tuple[str, ...]:
    """Passages stand between blank lines and hold none."""
    text = (_FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    return tuple(text.removesuffix("\n").split("\n\n"))
