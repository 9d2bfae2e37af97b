"""Draws fidelity as an SVG that reads in light and dark: a row for each variant with its bytes over
the wire, its mean KL divergence and its top-1 agreement, each beside its bound. matplotlib draws,
which the extra `plot` brings; it is imported only here and only when a plot was asked for."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

from oriel.bundle.atomic_folder import write_files_whole
from oriel.errors import OptionError
from oriel.fidelity.agreement_curve import AgreementCurve
from oriel.fidelity.measure_bundle import Measured, MeasuredBundle, measured_variants

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D
    from matplotlib.typing import RcKeyType

FLOOR = 1e-9
"""Smallest KL drawn: a smaller one is rounding, and is drawn on the edge of the field."""
_COLOURS = {
    "paper": ("#ffffff", "#14181f"),
    "ink": ("#1c2330", "#e8ecf2"),
    "soft": ("#5b6575", "#a3adbb"),
    "line": ("#d9dee6", "#333b47"),
    "float32": ("#0b66c3", "#6fb3ff"),
    "float16": ("#08795b", "#4fd1a5"),
    "integer": ("#b4480f", "#ff9d66"),
    "bound": ("#8a3ffc", "#c4a1ff"),
}
"""The colours in light and dark. matplotlib draws with those of light, and the file names them."""
_PAPER, _INK, _SOFT, _LINE, _BOUND = (
    _COLOURS[name][0] for name in ("paper", "ink", "soft", "line", "bound")
)
_FAMILIES = {
    "float32": ("o", "computes in float32"),
    "float16": ("s", "in float16"),
    "integer": ("D", "on 8- or 4-bit weights"),
}
"""Shapes differ, too, so that not only colour tells the families apart."""
_SETTINGS: dict[RcKeyType, object] = {
    # Text stays text; the same figures give the same file.
    "svg.fonttype": "none",
    "svg.hashsalt": "oriel",
    # Names are a stranger's: a $ in one is no formula.
    "text.parse_math": False,
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.size": 9,
    "text.color": _INK,
    "axes.edgecolor": _LINE,
    "axes.labelcolor": _INK,
    "xtick.color": _SOFT,
    "xtick.labelcolor": _SOFT,
    "ytick.labelcolor": _INK,
    "grid.color": _LINE,
    "legend.frameon": False,
    "legend.labelcolor": _SOFT,
}


def check_plot(file: Path | None) -> None:
    """Check, before anything is measured, that the plot can be drawn as asked."""
    if file is None:
        return
    if file.suffix.lower() != ".svg":
        raise OptionError(
            "--plot draws SVG alone",
            got=repr(file.name),
            expected="a name that ends in .svg",
            next_step="name it so; browsers and word processors read it.",
        )
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise OptionError(
            "--plot needs the package matplotlib",
            next_step="install the extra that brings it: pip install 'oriel[plot]', or here "
            "pip install -r tools/model-export/requirements-plot.txt.",
        ) from error


def write_plot(measured: MeasuredBundle, file: Path) -> None:
    """Draw every variant of the bundle that has been measured, on this text or another one."""
    name = measured.manifest.data["model"]["name"]
    picture = draw(measured_variants(measured.manifest), name, measured.curve)
    write_files_whole({file: picture.encode()})


def draw(variants: Sequence[Measured], model: str, curve: AgreementCurve | None = None) -> str:
    """Return the SVG of at least one variant, the largest first. curve: the agreement that the
    reference lets one expect at a KL, which is marked then."""
    import matplotlib
    from matplotlib.figure import Figure

    rows = sorted(variants, key=lambda v: -v.bytes)
    text = rows[0].fidelity.text
    by = "PyTorch" if rows[0].fidelity.reference == "pytorch" else "the fp32 graph"
    said = f"against {by}, over {text['tokens']} tokens of {_short(text['name'], 60)}"
    with matplotlib.rc_context(_SETTINGS), warnings.catch_warnings():
        # A character that the font lacks is drawn by the reader's own fonts.
        warnings.simplefilter("ignore")
        figure = Figure(figsize=(9.6, 2 + 0.3 * len(rows)), layout="constrained")
        title = f"{_short(model, 40)}: what variants weigh and what they change\n{said}"
        figure.suptitle(title, x=0.01, horizontalalignment="left")
        sizes, kl, agreement = figure.subplots(1, 3, sharey=True, gridspec_kw={"wspace": 0.06})
        _draw_sizes(sizes, rows)
        _draw_kl(kl, rows)
        _draw_agreement(agreement, rows, curve)
        figure.legend(*_legend(rows, curve), loc="outside lower center", ncols=3)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return _finish(out.getvalue(), rows, said)


def _draw_sizes(axes: Axes, rows: Sequence[Measured]) -> None:
    axes.set_yticks(range(len(rows)), [v.name for v in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(0, max(v.bytes for v in rows) / 1e6 * 1.3)
    axes.locator_params(axis="x", nbins=4)
    for y, variant in enumerate(rows):
        size = variant.bytes / 1e6
        axes.barh(y, size, height=0.5, color=_colour(variant))
        axes.annotate(f"{size:.3g}", (size, y), (4, 0), textcoords="offset points", va="center")
    _label(axes, "MB over the wire")


def _draw_kl(axes: Axes, rows: Sequence[Measured]) -> None:
    amounts = [a for v in rows for a in (v.fidelity.kl_mean, v.fidelity.bounds.kl_mean)]
    low = math.floor(math.log10(max(min(amounts), FLOOR)) + 1e-9)
    high = math.ceil(math.log10(max(*amounts, FLOOR) * 1.5))
    axes.set_xscale("log")
    powers = range(low, high + 1, max(1, (high - low) // 4))
    said = [shown_amount(10.0**power) for power in powers]
    said[0] = f"≤ {said[0]}" if low == round(math.log10(FLOOR)) else said[0]
    # Room at the right for the bounds in words.
    axes.set_xlim(10.0 ** (low - 0.04 * (high - low)), 10.0 ** (high + 0.3 * (high - low)))
    axes.set_xticks([10.0**power for power in powers], said)
    axes.set_xticks([], minor=True)
    for y, variant in enumerate(rows):
        _mark(axes, variant, max(variant.fidelity.kl_mean, FLOOR), y)
        _tick(axes, max(variant.fidelity.bounds.kl_mean, FLOOR), y, _BOUND)
        _say_bound(axes, f"≤ {shown_amount(variant.fidelity.bounds.kl_mean)}", 0.98, y)
    _label(axes, "mean KL, nats")


def _draw_agreement(axes: Axes, rows: Sequence[Measured], curve: AgreementCurve | None) -> None:
    expected = [None if curve is None else curve.at(v.fidelity.kl_mean) for v in rows]
    shares = [s for v in rows for s in (v.fidelity.top1, v.fidelity.bounds.top1)]
    span = max(0.01, 1 - min([*shares, *(e for e in expected if e is not None)]))
    axes.set_xlim(100 - 135 * span, 100 + 4 * span)
    axes.locator_params(axis="x", nbins=5)
    for y, (variant, share) in enumerate(zip(rows, expected, strict=True)):
        if share is not None:
            _tick(axes, 100 * share, y, _SOFT)
        _mark(axes, variant, 100 * variant.fidelity.top1, y)
        _tick(axes, 100 * variant.fidelity.bounds.top1, y, _BOUND)
        _say_bound(axes, f"≥ {100 * variant.fidelity.bounds.top1:.4g}", 0.22, y)
    _label(axes, "same likeliest token, %")


def _mark(axes: Axes, variant: Measured, x: float, y: int) -> None:
    shape, colour = _FAMILIES[_family(variant)][0], _colour(variant)
    fill = colour if variant.fidelity.within_bounds else _PAPER
    side = "kl" if axes.get_xscale() == "log" else "top1"
    axes.plot(x, y, shape, c=colour, mfc=fill, ms=7, clip_on=False, gid=f"{side}-{y}")


def _tick(axes: Axes, x: float, y: int, colour: str) -> None:
    axes.vlines(x, y - 0.36, y + 0.36, color=colour, linewidth=2)


def _say_bound(axes: Axes, said: str, x: float, y: int) -> None:
    """Write a bound as a number; x: the text's right end, as a share of the axes' width."""
    at = axes.get_yaxis_transform()
    axes.text(x, y, said, transform=at, color=_BOUND, fontsize=8, ha="right", va="center")


def _label(axes: Axes, said: str) -> None:
    axes.set_xlabel(said)
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    axes.tick_params(length=0)


def _legend(
    rows: Sequence[Measured], curve: AgreementCurve | None
) -> tuple[list[Line2D], list[str]]:
    from matplotlib.lines import Line2D

    def key(marker: str, colour: str, fill: str, size: int = 6) -> Line2D:
        return Line2D([], [], marker=marker, ls="", c=colour, mfc=fill, ms=size, mew=size / 5)

    families = {_family(v) for v in rows}
    found = {
        said: key(shape, _COLOURS[family][0], _COLOURS[family][0])
        for family, (shape, said) in _FAMILIES.items()
        if family in families
    }
    if not all(v.fidelity.within_bounds for v in rows):
        found["hollow: beyond its bounds"] = key("o", _SOFT, _PAPER)
    found["its bound"] = key("|", _BOUND, _BOUND, 10)
    if curve is not None:
        found["expected at its KL"] = key("|", _SOFT, _SOFT, 10)
    return list(found.values()), list(found)


def _finish(svg: str, rows: Sequence[Measured], said: str) -> str:
    """Name colours, so that they follow the reader's, and describe each mark in words."""
    for name, (light, _) in _COLOURS.items():
        svg = svg.replace(light, f"var(--{name})")
    for y, variant in enumerate(rows):
        title = f"<title>{escape(_described(variant))}</title>"
        for side in ("kl", "top1"):
            svg = svg.replace(f'<g id="{side}-{y}">', f'<g id="{side}-{y}">{title}')
    light, dark = (
        "; ".join(f"--{name}: {colours[i]}" for name, colours in _COLOURS.items()) for i in (0, 1)
    )
    style = f"svg {{ {light} }} @media (prefers-color-scheme: dark) {{ svg {{ {dark} }} }}"
    label = quoteattr(f"Bytes, KL divergence and agreement of every variant {said}")
    start = svg.index("<svg ")
    end = svg.index(">", start) + 1
    head = svg[start:end].replace("<svg ", f'<svg role="img" aria-label={label} ')
    return f"{head}\n <style>{style}</style>{svg[end:]}"


def _described(variant: Measured) -> str:
    found = variant.fidelity
    beyond = "" if found.within_bounds else ", beyond its bounds"
    return (
        f"{variant.name}: {variant.bytes / 1e6:.2f} MB, "
        f"mean KL {found.kl_mean:.2g} nats, at most {found.bounds.kl_mean:.2g}; "
        f"top-1 {found.top1:.2%}, at least {found.bounds.top1:.2%}{beyond}"
    )


def _family(variant: Measured) -> str:
    return {"fp32": "float32", "fp16": "float16"}.get(variant.kernels, "integer")


def _colour(variant: Measured) -> str:
    return _COLOURS[_family(variant)][0]


def shown_amount(value: float) -> str:
    """Format as 0.05, 10⁻⁵ or 3·10⁻⁵."""
    if value >= 1e-3:
        return f"{value:g}"
    digits, power = f"{value:.0e}".split("e")
    raised = str(int(power)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{raised}" if digits == "1" else f"{digits}·10{raised}"


def _short(said: str, maximum: int) -> str:
    return said if len(said) <= maximum else said[: maximum - 1] + "…"
