"""Bytes over the wire against mean KL, for all variants of a bundle, as an SVG that reads in light
and dark. Drawn by hand: a plotting library would be the heaviest thing the exporter installs, and
could not place these labels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from xml.sax.saxutils import escape

from oriel.bundle.atomic_folder import write_files_whole
from oriel.contract.manifest import Manifest
from oriel.errors import OptionError
from oriel.fidelity.measure_bundle import Measured, measured_variants

WIDTH, HEIGHT = 760, 480
LEFT, RIGHT, TOP, BOTTOM = 76, 592, 66, 388
"""Edges of the field; bounds are named to its right."""
FLOOR = 1e-9
"""Below it, what differs is rounding: drawn on the field's lower edge."""
_TICK_ROOM = 44.0
_STEPS = ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7), tuple(range(1, 10)))
_CHARACTER, _LINE = 7.0, 15.0
"""Width and height of a label's text, at most, at 12 px."""

_STYLE = """
svg { --paper: #ffffff; --ink: #1c2330; --soft: #5b6575; --line: #d9dee6;
  --float32: #0b66c3; --float16: #08795b; --integer: #b4480f; --bound: #8a3ffc; }
@media (prefers-color-scheme: dark) {
  svg { --paper: #14181f; --ink: #e8ecf2; --soft: #a3adbb; --line: #333b47;
    --float32: #6fb3ff; --float16: #4fd1a5; --integer: #ff9d66; --bound: #c4a1ff; } }
text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; fill: var(--ink); }
.title { font-size: 15px; font-weight: 600; }
.soft { fill: var(--soft); }
.grid { stroke: var(--line); }
.bound { stroke: var(--bound); stroke-dasharray: 5 4; }
.bounds { fill: var(--bound); }
.leader { stroke: var(--soft); }
.float32 { --own: var(--float32); } .float16 { --own: var(--float16); }
.integer { --own: var(--integer); }
.label { paint-order: stroke; stroke: var(--paper); stroke-width: 4px; }
.mark { fill: var(--own); stroke: var(--paper); stroke-width: 1.5; }
.mark.beyond { fill: var(--paper); stroke: var(--own); stroke-width: 2; }
"""

_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_KERNELS = {
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
        """The area that both cover."""
        across = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        down = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        return max(0.0, across) * max(0.0, down)


@dataclass(frozen=True)
class Mark:
    """A variant's place on the field."""

    variant: Measured
    x: float
    y: float

    @property
    def label(self) -> str:
        return self.variant.name

    @property
    def family(self) -> str:
        kernels = self.variant.kernels
        return {"fp32": "float32", "fp16": "float16"}.get(kernels, "integer")

    @property
    def box(self) -> Box:
        return Box(self.x - 9, self.y - 9, 18, 18)


@dataclass(frozen=True)
class Axis:
    """A logarithmic scale from a to b, drawn between two edges."""

    a: float
    b: float
    start: float
    end: float

    def at(self, value: float) -> float:
        value = min(max(value, self.a), self.b)
        share = math.log(value / self.a) / math.log(self.b / self.a)
        return self.start + share * (self.end - self.start)


def check_plot(file: Path | None) -> None:
    """Before anything is measured: whether the picture can be what is asked for."""
    if file is not None and file.suffix.lower() != ".svg":
        raise OptionError(
            "--plot draws SVG alone",
            got=repr(file.name),
            expected="a name that ends in .svg",
            next_step="name it so; browsers and word processors read it.",
        )


def write_plot(manifest: Manifest, file: Path) -> None:
    """Draw every variant of the manifest that has been measured."""
    picture = draw(measured_variants(manifest), manifest.data["model"]["name"])
    write_files_whole({file: picture.encode()})


def draw(variants: Sequence[Measured], model: str) -> str:
    """The SVG; there is one variant at least."""
    across, down = axes(variants)
    marks = [Mark(v, across.at(v.bytes), down.at(max(v.fidelity.kl_mean, FLOOR))) for v in variants]
    text = variants[0].fidelity.text
    by = "PyTorch" if variants[0].fidelity.reference == "pytorch" else "the fp32 graph"
    said = f"mean KL divergence from {by}, over {text['tokens']} tokens of {text['name']}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{_attribute(said)}">',
        f"<style>{_STYLE}</style>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="var(--paper)"/>',
        _text(
            LEFT, 26, f"{_short(model, 40)}: what a variant weighs, and what it changes", "title"
        ),
        _text(LEFT, 45, _short(said, 96), "soft"),
        *_grid(across, down),
        *_bounds(variants, down),
        *_points(marks),
        *_legend(variants),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def axes(variants: Sequence[Measured]) -> tuple[Axis, Axis]:
    """Scales that hold all variants and their bounds, with room at the edges."""
    sizes = [v.bytes for v in variants]
    amounts = [max(v.fidelity.kl_mean, FLOOR) for v in variants]
    amounts += [max(v.fidelity.bounds.kl_mean, FLOOR) for v in variants]
    low = 10.0 ** math.floor(math.log10(min(amounts)))
    high = 10.0 ** math.ceil(math.log10(max(amounts) * 1.5))
    return (
        Axis(min(sizes) / 1.35, max(sizes) * 1.35, LEFT, RIGHT),
        Axis(low, high, BOTTOM, TOP),
    )


def _grid(across: Axis, down: Axis) -> Iterator[str]:
    for size in megabyte_ticks(across):
        x = across.at(size * 1e6)
        yield f'<path class="grid" d="M{x:.1f} {TOP}V{BOTTOM}"/>'
        yield _text(x, BOTTOM + 18, f"{size:,g}", "soft", "middle")
    decades = round(math.log10(down.b / down.a))
    for i in range(decades + 1):
        value = down.a * 10**i
        y = down.at(value)
        yield f'<path class="grid" d="M{LEFT} {y:.1f}H{RIGHT}"/>'
        exponent = round(math.log10(value))
        least = "≤ " if value <= FLOOR * 1.001 else ""
        yield _text(LEFT - 8, y + 4, f"{least}{shown_amount(10.0**exponent)}", "soft", "end")
    middle = (LEFT + RIGHT) / 2
    yield _text(middle, BOTTOM + 40, "MB over the wire: weights and graph", "", "middle")
    side = (TOP + BOTTOM) / 2
    yield (
        f'<text text-anchor="middle" transform="translate(20 {side:.1f}) rotate(-90)">'
        "mean KL, nats</text>"
    )


def megabyte_ticks(across: Axis) -> list[float]:
    """Round numbers of MB on an axis in bytes: as fine as their labels leave room for."""
    low, high = across.a / 1e6, across.b / 1e6
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    found: list[float] = []
    for steps in _STEPS:
        ticks = [float(f"{step}e{power}") for power in powers for step in steps]
        ticks = [tick for tick in ticks if low <= tick <= high]
        places = [across.at(tick * 1e6) for tick in ticks]
        if any(b - a < _TICK_ROOM for a, b in pairwise(places)):
            break
        found = ticks
    return found


def _bounds(variants: Sequence[Measured], down: Axis) -> Iterator[str]:
    """A line for each bound, named to the right of the field, apart from its neighbours."""
    names: dict[float, list[str]] = {}
    for variant in variants:
        names.setdefault(variant.fidelity.bounds.kl_mean, []).append(variant.name)
    free = math.inf
    for bound in sorted(names):
        y = down.at(max(bound, FLOOR))
        yield f'<path class="bound" d="M{LEFT} {y:.1f}H{RIGHT}"/>'
        lines = [f"at most {shown_amount(bound)}", *_wrapped(names[bound], 20)]
        top = min(y - 2, free - _LINE * len(lines))
        free = top
        for i, line in enumerate(lines):
            yield _text(RIGHT + 8, top + 6 + _LINE * i, line, "bounds")


def shown_amount(value: float) -> str:
    """0.05; 10⁻⁵; 3·10⁻⁵."""
    if value >= 1e-3:
        return f"{value:g}"
    digits, power = f"{value:.0e}".split("e")
    raised = str(int(power)).translate(_RAISED)
    return f"10{raised}" if digits == "1" else f"{digits}·10{raised}"


def _wrapped(words: Sequence[str], width: int) -> list[str]:
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + len(word) + 2 <= width:
            lines[-1] += f", {word}"
        else:
            lines.append(word)
    return lines


def _points(marks: Sequence[Mark]) -> Iterator[str]:
    for mark, box in zip(marks, place_labels(marks), strict=True):
        middle = box.y + box.height / 2
        near = min(max(mark.x, box.x), box.x + box.width)
        if math.hypot(near - mark.x, middle - mark.y) > 24:
            yield (f'<path class="leader" d="M{mark.x:.1f} {mark.y:.1f}L{near:.1f} {middle:.1f}"/>')
        yield _text(box.x + 2, middle + 4, mark.label, "label")
    # The larger shapes first: marks that lie on each other stay visible.
    for mark in sorted(marks, key=lambda mark: list(_KERNELS).index(mark.family)):
        f = mark.variant.fidelity
        beyond = "" if f.within_bounds else " beyond"
        said = (
            f"{mark.label}: {mark.variant.bytes / 1e6:.2f} MB, mean KL {f.kl_mean:.2g} nats, "
            f"top-1 {f.top1:.2%}{', beyond its bounds' if beyond else ''}"
        )
        yield (
            f'<path class="mark {mark.family}{beyond}" '
            f'd="{_shape(mark.family, mark.x, mark.y)}"><title>{escape(said)}</title></path>'
        )


def place_labels(marks: Sequence[Mark]) -> list[Box]:
    """A place for each label beside its mark: the nearest that covers no mark, no other label and
    nothing outside of the field, or, where all do, the one that covers least."""
    taken = [mark.box for mark in marks]
    found: list[Box] = []
    for mark in marks:
        width = len(mark.label) * _CHARACTER + 4
        choices: list[tuple[float, int, Box]] = []
        for turn, (dx, dy) in enumerate(_places(width)):
            box = Box(mark.x + dx, mark.y + dy - _LINE / 2, width, _LINE)
            covered = sum(box.overlap(other) for other in taken)
            outside = box.width * box.height - box.overlap(
                Box(LEFT, TOP, RIGHT - LEFT, BOTTOM - TOP)
            )
            choices.append((round(covered + outside, 3), turn, box))
        best = min(choices, key=lambda choice: choice[:2])[2]
        taken.append(best)
        found.append(best)
    return found


def _places(width: float) -> Iterator[tuple[float, float]]:
    """Offsets of a label's left edge and middle from its mark, nearest first."""
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


def _legend(variants: Sequence[Measured]) -> Iterator[str]:
    x, y = float(LEFT), HEIGHT - 24.0
    families = {Mark(v, 0, 0).family for v in variants}
    for family, said in _KERNELS.items():
        if family in families:
            yield f'<path class="mark {family}" d="{_shape(family, x + 6, y - 4)}"/>'
            yield _text(x + 18, y, said, "soft")
            x += 36 + len(said) * 6.4
    if not all(v.fidelity.within_bounds for v in variants):
        yield f'<path class="mark beyond float32" d="{_shape("float32", x + 6, y - 4)}"/>'
        yield _text(x + 18, y, "hollow: beyond its bounds", "soft")


def _shape(family: str, x: float, y: float) -> str:
    """A circle, a square or a diamond, so that colour isn't all that tells them apart."""
    if family == "float32":
        return f"M{x - 7.5:.1f} {y:.1f}a7.5 7.5 0 1 0 15 0a7.5 7.5 0 1 0 -15 0Z"
    if family == "float16":
        return f"M{x - 4.5:.1f} {y - 4.5:.1f}h9v9h-9Z"
    return f"M{x:.1f} {y - 6:.1f}l6 6l-6 6l-6 -6Z"


def _text(x: float, y: float, said: str, kind: str = "", anchor: str = "start") -> str:
    style = f' class="{kind}"' if kind else ""
    side = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{style}{side}>{escape(said)}</text>'


def _attribute(said: str) -> str:
    return escape(said, {'"': "&quot;"})


def _short(said: str, most: int) -> str:
    return said if len(said) <= most else said[: most - 1] + "…"
