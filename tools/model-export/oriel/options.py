"""What the user asked for, parsed and checked as far as the words alone allow."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from oriel.errors import OptionError

PRECISIONS = ("fp32", "fp16")


@dataclass(frozen=True)
class ExportOptions:
    """Flags of export.py; the names match."""

    model: str | None = None
    revision: str | None = None
    layers: tuple[int, ...] | None = None
    """None: the last layer."""
    all_layers: bool = False
    activations: tuple[str, ...] | None = None
    """Kinds of the contract; None: the contract's defaults."""
    output: Path | None = None
    """The plain graph's path; None: apps/web/static/models/<name>/model.onnx."""
    opset: int | None = None
    precision: tuple[str, ...] = ("fp32",)
    verify: bool = False
    force: bool = False
    json: bool = False


def parse_layers(text: str) -> tuple[int, ...]:
    """'0,5,11' and '0-3,11' as ascending numbers without repeats."""
    layers: set[int] = set()
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,4})(?:-(\d{1,4}))?\s*", part)
        if match is None:
            raise OptionError(
                "--layers can't be read",
                got=repr(text),
                expected="whole numbers such as 0,5,11 or 0-3",
                next_step="count layers from 0.",
            )
        first = int(match.group(1))
        last = int(match.group(2)) if match.group(2) else first
        if last < first:
            raise OptionError("--layers runs backwards", got=part.strip(), expected="first-last")
        layers.update(range(first, last + 1))
    return tuple(sorted(layers))


def parse_words(text: str, flag: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """A comma-separated list of words that must all be known, in the order given."""
    words = list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    unknown = [word for word in words if word not in known]
    if unknown or not words:
        raise OptionError(
            f"{flag} names something unknown",
            got=", ".join(unknown) or "nothing",
            expected=f"some of {', '.join(known)}",
        )
    return tuple(words)
