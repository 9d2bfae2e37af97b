"""Fidelity as tables for people: the predictions of each variant, and its activations by kind."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from oriel.contract.activation_names import kinds
from oriel.fidelity.activations import ActivationFidelity
from oriel.fidelity.agreement_curve import AgreementCurve
from oriel.fidelity.fidelity_bounds import fidelity_bounds
from oriel.fidelity.measure_bundle import Measured, MeasuredBundle

HEADINGS = (
    "variant",
    "MB",
    "mean KL",
    "bound",
    "KL 99 %",
    "top-1",
    "expected",
    "bound",
    "top-5",
    "perplexity",
    "ratio",
    "verdict",
)
Row = tuple[str, ...]
FAIR = "*"
_LOWERED_NOTE = (
    "this model hardly predicts anything: agreement is held to what a variant at its bound of KL "
    "is expected to reach"
)


def prediction_rows(measured: MeasuredBundle) -> list[Row]:
    """Return a row for each variant, under HEADINGS."""
    return [_row(variant, measured.curve) for variant in measured.variants]


def _row(variant: Measured, curve: AgreementCurve) -> Row:
    f = variant.fidelity
    verdict = "within" if f.within_bounds else "beyond, lossy" if variant.lossy else "beyond"
    return (
        variant.name,
        f"{variant.bytes / 1e6:.1f}",
        _nats(f.kl_mean),
        _nats(f.bounds.kl_mean),
        _nats(f.kl_p99),
        _share(f.top1),
        _share(curve.at(f.kl_mean)),
        _share(f.bounds.top1) + (FAIR if has_lowered_bound(variant) else ""),
        _share(f.top5),
        "" if f.perplexity is None else f"{f.perplexity:.4g}",
        "" if f.perplexity_ratio is None else f"{f.perplexity_ratio:.4f}",
        verdict,
    )


def activation_rows(variants: Sequence[Measured]) -> list[Row]:
    """Return a row for each kind, a cell for each variant: the worst layer's relative error and,
    where there are several layers, its number."""
    rows: list[Row] = []
    for kind in kinds():
        cells = [_worst(variant, kind) for variant in variants]
        if any(cells):
            rows.append((kind, *cells))
    return rows


def _worst(variant: Measured, kind: str) -> str:
    found = [row for row in variant.fidelity.activations if row.kind == kind]
    if not found:
        return ""
    worst: ActivationFidelity = max(found, key=lambda row: row.relative_error)
    where = "" if worst.layer is None or worst.relative_error == 0 else f" ({worst.layer})"
    return _nats(worst.relative_error) + where


def has_lowered_bound(variant: Measured) -> bool:
    """Return whether its bound of agreement is less than its precision's own."""
    return variant.fidelity.bounds.top1 < fidelity_bounds(variant.precision).top1


def _nats(value: float) -> str:
    return f"{value:.1e}" if value else "0"


def _share(value: float) -> str:
    # Rounded down to the digits shown: 99.996 % must not become 100.00 %.
    return f"{int(value * 1e4 + 1e-6) / 100:.2f} %"


def print_fidelity(measured: MeasuredBundle, console: Console | None = None) -> None:
    """Print tables on a terminal, aligned lines elsewhere."""
    console = console or Console()
    variants = measured.variants
    text = variants[0].fidelity.text
    by = "PyTorch" if variants[0].fidelity.reference == "pytorch" else "the fp32 graph"
    title = f"against {by}, on {text['name']}: {text['passages']} passages, {text['tokens']} tokens"
    _show(console, title, HEADINGS, prediction_rows(measured))
    names = ("relative error (worst layer)", *(variant.name for variant in variants))
    _show(console, "activations", names, activation_rows(variants))
    if any(map(has_lowered_bound, variants)):
        console.print(f"{FAIR} {_LOWERED_NOTE}", markup=False, highlight=False, soft_wrap=True)
    beyond = [variant.name for variant in variants if not variant.fidelity.within_bounds]
    said = f"beyond bounds: {', '.join(beyond)}" if beyond else "all within their bounds"
    style = "bold red" if beyond else "bold green"
    console.print(said, style=style, markup=False, highlight=False, soft_wrap=True)


def _show(console: Console, title: str, headings: Sequence[str], rows: Sequence[Row]) -> None:
    if console.is_terminal:
        table = Table(title=escape(title), title_justify="left", header_style="bold")
        for index, heading in enumerate(headings):
            table.add_column(escape(heading), justify="left" if index == 0 else "right")
        for row in rows:
            red = "red" if row[-1].startswith("beyond") else None
            table.add_row(*map(escape, row), style=red)
        console.print(table)
        return
    lines = [tuple(headings), *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(headings))]
    console.print(title, markup=False, highlight=False, soft_wrap=True)
    for line in lines:
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        text = "  " + "  ".join(cells).rstrip()
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    console.print()
