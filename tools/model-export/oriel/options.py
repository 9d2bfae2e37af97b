"""The user's options, parsed and checked as far as is possible without reading any file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from oriel.errors import OptionError
from oriel.precisions import CUSTOM_RECIPE_ENCODINGS, PRECISIONS, CalibrationMethod

DEFAULT_OPSET = 20
OLDEST_OPSET, NEWEST_OPSET = 18, 22
"""18 is the oldest that torch writes; from 23 on, browsers lack kernels (Attention)."""


@dataclass(frozen=True, kw_only=True)
class Quantizing:
    """Flags on how variants are made, common to export.py and `oriel quantize`."""

    recipe: Path | None = None
    """A recipe of the user's own, for weights in q8 or q4; None: the bundled ones."""
    calibration: Path | None = None
    """Plain text, one passage a line; None: the bundled corpus."""
    calibration_method: CalibrationMethod = "minmax"
    allow_lossy: bool = False


@dataclass(frozen=True, kw_only=True)
class QuantizeOptions(Quantizing):
    """Flags of `oriel quantize`."""

    graph: Path
    """A bundle's model.onnx, or its folder."""
    precision: tuple[str, ...]
    json: bool = False


@dataclass(frozen=True, kw_only=True)
class ExportOptions(Quantizing):
    """Flags of export.py; the names match."""

    model: str | None = None
    revision: str | None = None
    adapter: Path | None = None
    """Folder of a LoRA adapter to merge into the model."""
    layers: tuple[int, ...] | None = None
    """None: the last layer."""
    all_layers: bool = False
    activations: tuple[str, ...] | None = None
    """Kinds of the contract; None: the contract's defaults."""
    output: Path | None = None
    """The plain graph's path; None: apps/web/static/models/<name>/model.onnx."""
    opset: int = DEFAULT_OPSET
    static_cache: int | None = None
    """Slots of the static graphs' cache, in tokens; None to write no static graphs."""
    precision: tuple[str, ...] = ("fp32",)
    verify: bool = False
    force: bool = False
    json: bool = False


def parse_layers(text: str) -> tuple[int, ...]:
    """Parse '0,5,11' or '0-3,11' into ascending numbers without repeats."""
    layers: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,4})(?:-(\d{1,4}))?\s*", part, re.ASCII)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, -1)
        if last < first:
            raise OptionError(
                "--layers can't be read",
                got=repr(part.strip() if match else text),
                expected="whole numbers from 0 on, such as 0,5,11 or 0-3",
                next_step="use --all-layers for all of them.",
            )
        layers.update(range(first, last + 1))
    return tuple(sorted(layers))


def parse_opset(text: str) -> int:
    """Parse a version of ONNX's operators that torch writes and browsers run."""
    if re.fullmatch(r"\d{1,4}", text, re.ASCII) and OLDEST_OPSET <= int(text) <= NEWEST_OPSET:
        return int(text)
    raise OptionError(
        "--opset can't be used",
        got=repr(text),
        expected=f"{OLDEST_OPSET} to {NEWEST_OPSET}",
        next_step="leave it out for the default; browsers lack newer ones, torch older ones.",
    )


def parse_static_cache(text: str) -> int:
    """Parse the number of slots of a static cache. The model's context length limits it further."""
    if re.fullmatch(r"[1-9]\d{0,6}", text, re.ASCII):
        return int(text)
    raise OptionError(
        "--static-cache can't be read",
        got=repr(text),
        expected="a number of tokens, such as 512",
        next_step="leave it out for no static graph.",
    )


def parse_words(text: str, flag: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """Parse a comma-separated list of words that must all be known; keep their order."""
    words = list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    unknown = [word for word in words if word not in known]
    if unknown or not words:
        raise OptionError(
            f"{flag} names what doesn't exist" if words else f"{flag} names nothing",
            got=", ".join(map(repr, unknown)) or repr(text),
            expected=f"some of {', '.join(known)}",
            next_step="separate them by commas.",
        )
    return tuple(words)


def check_quantizing(quantizing: Quantizing, names: tuple[str, ...]) -> None:
    """Raise OptionError for a flag that affects none of the variants named."""
    if quantizing.recipe is not None and not any(
        PRECISIONS[name].encoding in CUSTOM_RECIPE_ENCODINGS for name in names
    ):
        raise OptionError(
            "--recipe has nothing to act on",
            got=f"--precision {','.join(names)}",
            expected="a precision that quantizes, such as q8 or int4",
            next_step="name one, or leave --recipe out.",
        )
