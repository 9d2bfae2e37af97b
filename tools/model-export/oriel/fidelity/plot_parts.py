"""Parts that the plots of fidelity are drawn with: scales, marks, and labels that keep out of each
other's way. What is drawn is plot.py's."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from xml.sax.saxutils import escape

from oriel.fidelity.measure_bundle import Measured

_CHARACTER, _LINE = 7.0, 15.0
"""Largest width and height of a label's text, at 12 px."""
_TICK_ROOM = 44.0
_STEPS = ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7), tuple(range(1, 10)))
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

FAMILIES = {
    "float32": "computes in float32",
    "float16": "in float16",
    "integer": "on 8- or 4-bit weights",
}


@dataclass(frozen=True)
class Box:
    """A rectangle that nothing else may cover."""

    x: float
    y: float
    width: float
    height: float

    def overlap(self, other: Box) -> float:
        """Return the area that both cover."""
        across = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        down = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        return max(0.0, across) * max(0.0, down)


@dataclass(frozen=True)
class Axis:
    """A logarithmic scale from a to b, drawn between two edges; what is beyond is on the edge."""

    a: float
    b: float
    start: float
    end: float

    def at(self, value: float) -> float:
        value = min(max(value, self.a), self.b)
        share = math.log(value / self.a) / math.log(self.b / self.a)
        return self.start + share * (self.end - self.start)

    def decades(self) -> list[float]:
        """Powers of ten, from end to end."""
        first, last = math.ceil(math.log10(self.a) - 1e-9), math.floor(math.log10(self.b) + 1e-9)
        return [float(f"1e{power}") for power in range(first, last + 1)]


@dataclass(frozen=True)
class Mark:
    """The position of a variant in a plot."""

    variant: Measured
    x: float
    y: float

    @property
    def label(self) -> str:
        return self.variant.name

    @property
    def family(self) -> str:
        return {"fp32": "float32", "fp16": "float16"}.get(self.variant.kernels, "integer")

    @property
    def box(self) -> Box:
        return Box(self.x - 9, self.y - 9, 18, 18)


def size_ticks(across: Axis, unit: float) -> list[float]:
    """Return round numbers of a unit along an axis, as many as their labels have room for."""
    low, high = across.a / unit, across.b / unit
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found: list[float] = []
    for steps in _STEPS:
        ticks = [float(f"{step}e{power}") for power in powers for step in steps]
        ticks = [tick for tick in ticks if low <= tick <= high]
        places = [across.at(tick * unit) for tick in ticks]
        if any(b - a < _TICK_ROOM for a, b in pairwise(places)):
            break
        found = max(found, ticks, key=len)
    return found


def shown_amount(value: float) -> str:
    """Format as 0.05, 10⁻⁵ or 3·10⁻⁵."""
    if value >= 1e-3:
        return f"{value:g}"
    digits, power = f"{value:.0e}".split("e")
    raised = str(int(power)).translate(_RAISED)
    return f"10{raised}" if digits == "1" else f"{digits}·10{raised}"


def wrapped(words: Sequence[str], width: int) -> list[str]:
    """Join words by commas, in lines of limited length."""
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + len(word) + 2 <= width:
            lines[-1] += f", {word}"
        else:
            lines.append(word)
    return lines


def draw_marks(marks: Sequence[Mark], field: Box) -> Iterator[str]:
    """Draw marks with their labels and with descriptions in words."""
    for mark, box in zip(marks, place_labels(marks, field), strict=True):
        middle = box.y + box.height / 2
        near = min(max(mark.x, box.x), box.x + box.width)
        if math.hypot(near - mark.x, middle - mark.y) > 24:
            yield f'<path class="leader" d="M{mark.x:.1f} {mark.y:.1f}L{near:.1f} {middle:.1f}"/>'
        yield text(box.x + 2, middle + 4, mark.label, "label")
    # The larger shapes first: marks that lie on each other stay visible.
    for mark in sorted(marks, key=lambda mark: list(FAMILIES).index(mark.family)):
        f = mark.variant.fidelity
        beyond = "" if f.within_bounds else " beyond"
        said = (
            f"{mark.label}: {mark.variant.bytes / 1e6:.2f} MB, mean KL {f.kl_mean:.2g} nats, "
            f"top-1 {f.top1:.2%}{', beyond its bounds' if beyond else ''}"
        )
        shape = shape_of(mark.family, mark.x, mark.y)
        title = f"<title>{escape(said)}</title>"
        yield f'<path class="mark {mark.family}{beyond}" d="{shape}">{title}</path>'


def place_labels(marks: Sequence[Mark], field: Box) -> list[Box]:
    """Choose a place for each label beside its mark: the nearest that covers no mark, no other
    label and nothing outside of the field, or, if there is none, the one that covers least."""
    taken = [mark.box for mark in marks]
    found: list[Box] = []
    for mark in marks:
        width = len(mark.label) * _CHARACTER + 4
        choices: list[tuple[float, int, Box]] = []
        for turn, (dx, dy) in enumerate(_places(width)):
            box = Box(mark.x + dx, mark.y + dy - _LINE / 2, width, _LINE)
            covered = sum(box.overlap(other) for other in taken)
            outside = box.width * box.height - box.overlap(field)
            choices.append((round(covered + outside, 3), turn, box))
        best = min(choices, key=lambda choice: choice[:2])[2]
        taken.append(best)
        found.append(best)
    return found


def _places(width: float) -> Iterator[tuple[float, float]]:
    """Yield offsets of a label's left edge and middle from its mark, nearest first."""
    for step in range(8):
        rise = step * 11.0
        for dy in (-rise, rise) if step else (0.0,):
            yield 12.0, dy
            yield -12.0 - width, dy
            if step >= 2:
                yield -width / 2, dy
    for reach in (40.0, 70.0):
        for step in range(8):
            for dy in (-step * 11.0, step * 11.0):
                yield reach, dy
                yield -reach - width, dy


def shape_of(family: str, x: float, y: float) -> str:
    """Draw a circle, a square or a diamond, so that not only colour tells them apart."""
    if family == "float32":
        return f"M{x - 7.5:.1f} {y:.1f}a7.5 7.5 0 1 0 15 0a7.5 7.5 0 1 0 -15 0Z"
    if family == "float16":
        return f"M{x - 4.5:.1f} {y - 4.5:.1f}h9v9h-9Z"
    return f"M{x:.1f} {y - 6:.1f}l6 6l-6 6l-6 -6Z"


def text(x: float, y: float, said: str, kind: str = "", anchor: str = "start") -> str:
    """Draw a line of text; kind: its class in the style sheet."""
    style = f' class="{kind}"' if kind else ""
    side = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{style}{side}>{escape(said)}</text>'


def upright(x: float, y: float, said: str) -> str:
    """Draw a line of text along a vertical axis, read from bottom to top."""
    turn = f"translate({x:.1f} {y:.1f}) rotate(-90)"
    return f'<text text-anchor="middle" transform="{turn}">{escape(said)}</text>'


def line(kind: str, x: float, y: float, *, to: str) -> str:
    """Draw a straight line; to: H or V and the coordinate."""
    return f'<path class="{kind}" d="M{x:.1f} {y:.1f}{to}"/>'
