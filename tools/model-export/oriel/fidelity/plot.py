"""Fidelity as an SVG that reads in light and dark: bytes over the wire against mean KL, and KL
against top-1 agreement beside what the reference lets one expect. Drawn by hand: a plotting library
would be the heaviest thing the exporter installs, and wouldn't place these labels."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.sax.saxutils import quoteattr

from oriel.bundle.atomic_folder import write_files_whole
from oriel.errors import OptionError
from oriel.fidelity.agreement_curve import AgreementCurve
from oriel.fidelity.measure_bundle import Measured, MeasuredBundle, measured_variants
from oriel.fidelity.plot_parts import (
    FAMILIES,
    Axis,
    Box,
    Mark,
    draw_marks,
    line,
    shape_of,
    shown_amount,
    size_ticks,
    text,
    upright,
    wrapped,
)

WIDTH, LEFT, RIGHT = 760, 76, 592
"""Edges of the fields; bounds are named to the right of them."""
SIZES = Box(LEFT, 66, RIGHT - LEFT, 322)
AGREEMENT = Box(LEFT, 520, RIGHT - LEFT, 260)
FLOOR = 1e-9
"""Smallest KL drawn: a smaller one is rounding, and is drawn on the edge of the field."""
MEGABYTE = 1e6
_LINE = 15.0

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
.bound { fill: none; stroke: var(--bound); stroke-dasharray: 5 4; }
.bounds { fill: var(--bound); }
.leader { stroke: var(--soft); }
.curve { fill: none; stroke: var(--soft); stroke-width: 1.5; }
.float32 { --own: var(--float32); } .float16 { --own: var(--float16); }
.integer { --own: var(--integer); }
.label { paint-order: stroke; stroke: var(--paper); stroke-width: 4px; }
.mark { fill: var(--own); stroke: var(--paper); stroke-width: 1.5; }
.mark.beyond { fill: var(--paper); stroke: var(--own); stroke-width: 2; }
"""


def check_plot(file: Path | None) -> None:
    """Check, before anything is measured, that the plot can be drawn as asked."""
    if file is not None and file.suffix.lower() != ".svg":
        raise OptionError(
            "--plot draws SVG alone",
            got=repr(file.name),
            expected="a name that ends in .svg",
            next_step="name it so; browsers and word processors read it.",
        )


def write_plot(measured: MeasuredBundle, file: Path) -> None:
    """Draw every variant of the bundle that has been measured, on this text or another one."""
    name = measured.manifest.data["model"]["name"]
    picture = draw(measured_variants(measured.manifest), name, measured.curve)
    write_files_whole({file: picture.encode()})


def draw(variants: Sequence[Measured], model: str, curve: AgreementCurve | None = None) -> str:
    """Return the SVG of at least one variant. Without a curve, draw only bytes against KL."""
    text_of = variants[0].fidelity.text
    by = "PyTorch" if variants[0].fidelity.reference == "pytorch" else "the fp32 graph"
    said = f"mean KL divergence from {by}, over {text_of['tokens']} tokens of {text_of['name']}"
    height = 480 if curve is None else 876
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img" aria-label={quoteattr(said)}>',
        f"<style>{_STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="var(--paper)"/>',
        text(LEFT, 26, f"{_short(model, 40)}: what variants weigh and what they change", "title"),
        text(LEFT, 45, _short(said, 96), "soft"),
        *_sizes(variants),
        *(_agreement(variants, curve) if curve is not None else ()),
        *_legend(variants, height - 24.0),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def size_axes(variants: Sequence[Measured]) -> tuple[Axis, Axis]:
    """Return scales of bytes and KL that hold all variants and bounds, with room at the edges."""
    sizes = [v.bytes for v in variants]
    amounts = [max(v.fidelity.kl_mean, FLOOR) for v in variants]
    amounts += [max(v.fidelity.bounds.kl_mean, FLOOR) for v in variants]
    low = 10.0 ** math.floor(math.log10(min(amounts)) + 1e-9)
    high = 10.0 ** math.ceil(math.log10(max(amounts) * 1.5))
    field = SIZES
    return (
        Axis(min(sizes) / 1.35, max(sizes) * 1.35, field.x, field.x + field.width),
        Axis(low, high, field.y + field.height, field.y),
    )


def _sizes(variants: Sequence[Measured]) -> Iterator[str]:
    across, down = size_axes(variants)
    top, bottom = SIZES.y, SIZES.y + SIZES.height
    for size in size_ticks(across, MEGABYTE):
        x = across.at(size * MEGABYTE)
        yield line("grid", x, top, to=f"V{bottom}")
        yield text(x, bottom + 18, f"{size:,g}", "soft", "middle")
    for value in down.decades():
        y = down.at(value)
        yield line("grid", LEFT, y, to=f"H{RIGHT}")
        yield text(LEFT - 8, y + 4, _at_least(value), "soft", "end")
    middle = "MB over the wire: weights and graph"
    yield text((LEFT + RIGHT) / 2, bottom + 40, middle, "", "middle")
    yield upright(20, (top + bottom) / 2, "mean KL, nats")
    yield from _kl_bounds(variants, down)
    places = [(across.at(v.bytes), down.at(max(v.fidelity.kl_mean, FLOOR))) for v in variants]
    marks = [Mark(v, x, y) for v, (x, y) in zip(variants, places, strict=True)]
    yield from draw_marks(marks, SIZES)


def _kl_bounds(variants: Sequence[Measured], down: Axis) -> Iterator[str]:
    """Draw a line for each bound, named to the right of the field, apart from its neighbours."""
    names: dict[float, list[str]] = {}
    for variant in variants:
        names.setdefault(variant.fidelity.bounds.kl_mean, []).append(variant.name)
    free = math.inf
    for bound in sorted(names):
        y = down.at(max(bound, FLOOR))
        yield line("bound", LEFT, y, to=f"H{RIGHT}")
        lines = [f"at most {shown_amount(bound)}", *wrapped(names[bound], 20)]
        top = min(y - 2, free - _LINE * len(lines))
        free = top
        for i, said in enumerate(lines):
            yield text(RIGHT + 8, top + 6 + _LINE * i, said, "bounds")


def _agreement(variants: Sequence[Measured], curve: AgreementCurve) -> Iterator[str]:
    """Draw top-1 agreement by KL, and the curve that the reference alone lets one expect."""
    field = AGREEMENT
    top, bottom = field.y, field.y + field.height
    kls = [v.fidelity.kl_mean for v in variants] + [v.fidelity.bounds.kl_mean for v in variants]
    high = 10.0 ** math.ceil(math.log10(max(*kls, 0.01) * 1.5))
    across = Axis(FLOOR, high, field.x, field.x + field.width)
    worst = min([v.fidelity.top1 for v in variants] + [curve.at(high)])
    low = max(0.0, math.floor(worst * 10) / 10)

    def down(share: float) -> float:
        return bottom - (share - low) / (1.0 - low) * field.height

    said = "how often the likeliest token is the same, by mean KL; the line: expected on this text"
    yield text(LEFT, top - 18, said, "soft")
    for value in across.decades():
        x = across.at(value)
        yield line("grid", x, top, to=f"V{bottom}")
        yield text(x, bottom + 18, _at_least(value), "soft", "middle")
    steps = round((1.0 - low) * 10)
    ticks = steps if steps > 1 else 5
    for i in range(ticks + 1):
        share = low + (1.0 - low) * i / ticks
        yield line("grid", LEFT, down(share), to=f"H{RIGHT}")
        yield text(LEFT - 8, down(share) + 4, f"{100 * share:.0f} %", "soft", "end")
    yield text((LEFT + RIGHT) / 2, bottom + 40, "mean KL, nats", "", "middle")
    yield upright(20, (top + bottom) / 2, "top-1 agreement")
    points = [
        10 ** (i / 8) for i in range(round(math.log10(FLOOR) * 8), round(math.log10(high) * 8))
    ]
    path = "L".join(f"{across.at(kl):.1f} {down(curve.at(kl)):.1f}" for kl in [*points, high])
    yield f'<path class="curve" d="M{path}"/>'
    free = -math.inf
    for share in sorted({v.fidelity.bounds.top1 for v in variants}, reverse=True):
        y = down(share)
        yield line("bound", LEFT, y, to=f"H{RIGHT}")
        names = [v.name for v in variants if v.fidelity.bounds.top1 == share]
        lines = [f"at least {100 * share:.4g} %", *wrapped(names, 20)]
        start = max(y - 2, free)
        free = start + _LINE * len(lines)
        for i, words in enumerate(lines):
            yield text(RIGHT + 8, start + 6 + _LINE * i, words, "bounds")
    marks = [Mark(v, across.at(v.fidelity.kl_mean), down(v.fidelity.top1)) for v in variants]
    yield from draw_marks(marks, field)


def _legend(variants: Sequence[Measured], y: float) -> Iterator[str]:
    x = float(LEFT)
    families = {Mark(v, 0, 0).family for v in variants}
    for family, said in FAMILIES.items():
        if family in families:
            yield f'<path class="mark {family}" d="{shape_of(family, x + 6, y - 4)}"/>'
            yield text(x + 18, y, said, "soft")
            x += 36 + len(said) * 6.4
    if not all(v.fidelity.within_bounds for v in variants):
        yield f'<path class="mark beyond float32" d="{shape_of("float32", x + 6, y - 4)}"/>'
        yield text(x + 18, y, "hollow: beyond its bounds", "soft")


def _at_least(value: float) -> str:
    return f"≤ {shown_amount(value)}" if value <= FLOOR * 1.001 else shown_amount(value)


def _short(said: str, maximum: int) -> str:
    return said if len(said) <= maximum else said[: maximum - 1] + "…"
