"""Results of verification, and the table for people."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal

from rich.console import Console
from rich.table import Table

from oriel.contract.activation_names import contract_table, kind_of
from oriel.contract.data_files import GraphKind
from oriel.contract.manifest import Manifest
from oriel.errors import OrielError
from oriel.models.load_model import LoadedModel
from oriel.verification.cases import Case, Ids
from oriel.verification.compare import Difference
from oriel.verification.error_bounds import Measure

Verdict = Literal["passed", "failed", "not run", "not applicable"]
"""not run: something kept the check from running, which is a failure. not applicable: this model
has nothing that could be checked."""
_ACCEPTED: tuple[Verdict, ...] = ("passed", "not applicable")

_MAX_LISTED = 4
_MAX_DETAIL = 240


@dataclass(frozen=True)
class Check:
    """A named statement about the files, and whether it holds."""

    name: str
    verdict: Verdict
    error: float | None = None
    bound: float | None = None
    detail: str | None = None


@dataclass(frozen=True)
class ActivationResult:
    """An output against PyTorch, over all the sizes it was tried with."""

    name: str
    graph: GraphKind
    shape: tuple[int | str, ...]
    dtype: str
    verdict: Verdict
    error: float | None = None
    """Absolute for logits, relative for all else, or by norm: see Difference and Bounds."""
    absolute_error: float | None = None
    bound: float | None = None
    worst_at: str | None = None
    """Batch × seq of the worst measurement."""

    @property
    def kind(self) -> str:
        return kind_of(self.name)


@dataclass(frozen=True)
class Measured:
    """One activation against PyTorch's."""

    found: Difference
    error: float
    bound: float
    measure: Measure
    """The one of the differences that the error is."""
    sizes: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class MeasuredCase:
    """The activations of one graph on one input, without padding and without a past."""

    graph: GraphKind
    case: Case
    ids: Ids
    """(batch, seq)"""
    rows: Mapping[str, Measured]
    """{activation: how far it is}, in the order of their measurement."""


@dataclass(frozen=True)
class VariantReport:
    """All results for one variant."""

    name: str
    precision: str
    checks: tuple[Check, ...]
    activations: tuple[ActivationResult, ...]
    rounded: bool = False
    """PyTorch computed with the variant's own weights, since they are encoded in few bits."""
    by_norm: bool = False
    """Errors are norms of differences over norms, logits' too."""
    cases: tuple[MeasuredCase, ...] = ()


@dataclass(frozen=True)
class Report:
    """All results for a bundle."""

    model: str
    weights_digest: str | None
    """Digest of the checkpoint that PyTorch ran."""
    checks: tuple[Check, ...]
    variants: tuple[VariantReport, ...]
    versions: dict[str, str]
    seed: int
    seconds: float
    manifest: Manifest | None = None
    """None where it couldn't be read."""
    loaded: LoadedModel | None = None
    """The checkpoint; None where nothing was compared with it."""
    by_layers: bool = False
    """True where each layer was run by itself, on what PyTorch gives to it."""

    @property
    def failures(self) -> list[str]:
        """Names of what failed, with the variant where it belongs to one; and checks not run."""
        names = [check.name for check in self.checks if check.verdict not in _ACCEPTED]
        for variant in self.variants:
            prefix = f"{variant.name}: "
            names += [prefix + c.name for c in variant.checks if c.verdict not in _ACCEPTED]
            rows = [row for row in variant.activations if row.verdict == "failed"]
            names += list(dict.fromkeys(prefix + row.name for row in rows))
        return names

    @property
    def passed(self) -> bool:
        rows = [row for variant in self.variants for row in variant.activations]
        return bool(rows) and not self.failures and all(r.verdict == "passed" for r in rows)

    def conclusion(self) -> str:
        """The last line."""
        if not self.passed:
            names = self.failures
            more = len(names) - 3 * _MAX_LISTED
            shown = ", ".join(names[: 3 * _MAX_LISTED]) + (f" and {more} more" if more > 0 else "")
            return f"FAILED: {shown or 'nothing could be checked'}"
        parts = []
        for variant in self.variants:
            names_of_variant = {row.name for row in variant.activations}
            logits = max(r.error or 0.0 for r in variant.activations if r.kind == "logits")
            parts.append(
                f"{len(names_of_variant)} activations of {variant.name} agree with PyTorch"
                f"{' over its weights' if variant.rounded else ''}, logits within {logits:.1e}"
                f"{' of their norm' if variant.by_norm else ''}"
            )
        checks = [*self.checks, *(check for v in self.variants for check in v.checks)]
        count = sum(check.verdict == "passed" for check in checks)
        how = "verified by layers" if self.by_layers else "verified"
        return f"{how}: {'; '.join(parts)}; {count} checks passed"


@dataclass
class Findings:
    """Collects checks as they are made. A name that is measured many times keeps its worst."""

    checks: dict[str, Check] = field(default_factory=dict)

    def passed(self, name: str, detail: str | None = None) -> None:
        if name not in self.checks:
            self.checks[name] = Check(name, "passed", detail=detail)

    def failed(self, name: str, detail: str) -> None:
        old = self.checks.get(name)
        if old is not None and old.verdict == "failed" and old.detail:
            if detail in old.detail:
                return
            detail = f"{old.detail}; {detail}" if len(old.detail) < 300 else old.detail
        self.checks[name] = Check(name, "failed", detail=detail)

    def not_run(self, name: str, because: str) -> None:
        self.checks[name] = Check(name, "not run", detail=because)

    def not_applicable(self, name: str, because: str) -> None:
        self.checks[name] = Check(name, "not applicable", detail=because)

    def measure(self, name: str, error: float, bound: float, where: str) -> None:
        """Record a number that must not exceed its bound; `where` is kept for the worst one."""
        verdict: Verdict = "passed" if error <= bound else "failed"
        old = self.checks.get(name)
        if old is not None and old.error is None and old.verdict != "passed":
            return
        if (
            old is None
            or old.error is None
            or _excess(error, bound) > _excess(old.error, old.bound)
        ):
            self.checks[name] = Check(name, verdict, error, bound, f"worst: {where}")

    def differences(self, name: str, problems: Sequence[str], well: str | None = None) -> None:
        """Record a check: passed if there are no problems; else failed, with the first few."""
        if not problems:
            self.passed(name, well)
            return
        more = len(problems) - _MAX_LISTED
        text = "; ".join(problems[:_MAX_LISTED])
        self.failed(name, text + (f"; and {more} more" if more > 0 else ""))

    def guarded(self, name: str) -> Guard:
        """Turn any exception in the block into a finding, so that later checks still run."""
        return Guard(self, name)


@dataclass(frozen=True)
class Guard:
    """Turns an exception into a failed check: damaged files raise any class of four libraries."""

    findings: Findings
    name: str

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        if not isinstance(error, Exception) or isinstance(error, MemoryError):
            return False
        said = error if isinstance(error, OrielError) else f"{type(error).__name__}: {error}"
        self.findings.failed(self.name, " ".join(str(said).split())[:_MAX_DETAIL])
        return True


def _excess(error: float, bound: float | None) -> float:
    if error == 0:
        return 0.0
    return error / bound if bound else math.inf


HEADINGS = ("name", "shape", "dtype", "error", "bound", "verdict")
Row = tuple[str, str, str, str, str, str]


def table_rows(variant: VariantReport) -> list[Row]:
    """Return a row for each output of the plain graph, and for each kind that taps give."""
    rows = [_row(r, r.name) for r in variant.activations if r.graph == "plain"]
    tapped: dict[str, list[ActivationResult]] = {}
    for result in variant.activations:
        if result.graph != "plain":
            tapped.setdefault(result.kind, []).append(result)
    for row in contract_table()["activations"]:
        results = tapped.get(row["kind"], [])
        if results:
            worst = max(results, key=_severity)
            label = row["name"].replace("{L}", "*")
            note = f" (of {len(results)}, worst {worst.name})" if len(results) > 1 else " (tap)"
            rows.append(_row(worst, label + note))
    return rows


def _severity(result: ActivationResult) -> float:
    if result.verdict != "passed" or result.error is None:
        return math.inf
    return _excess(result.error, result.bound)


def _row(result: ActivationResult, label: str) -> Row:
    shape = ", ".join(map(str, result.shape))
    error, bound = _number(result.error), _number(result.bound)
    return label, f"[{shape}]", result.dtype, error, bound, result.verdict


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1e}" if value else "0"


def print_report(report: Report, console: Console | None = None) -> None:
    """Print a table on a terminal, aligned lines elsewhere; both end in the conclusion."""
    console = console or Console()
    show = _print_rich if console.is_terminal else _print_plain
    for variant in report.variants:
        if variant.activations:
            show(console, f"{variant.name}: activations", HEADINGS, table_rows(variant))
        show(console, f"{variant.name}: checks", _CHECK_HEADINGS, _check_rows(variant.checks))
    if report.checks:
        show(console, "bundle: checks", _CHECK_HEADINGS, _check_rows(report.checks))
    style = "bold green" if report.passed else "bold red"
    console.print(report.conclusion(), style=style, markup=False, highlight=False, soft_wrap=True)


_CHECK_HEADINGS = ("check", "error", "bound", "verdict", "detail")


def _check_rows(checks: Sequence[Check]) -> list[tuple[str, ...]]:
    return [
        (c.name, _number(c.error), _number(c.bound), c.verdict, (c.detail or "")) for c in checks
    ]


def _print_rich(
    console: Console, title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    table = Table(title=title, title_justify="left", header_style="bold")
    for heading in headings:
        right = heading in ("error", "bound")
        table.add_column(heading, justify="right" if right else "left", overflow="fold")
    for row in rows:
        cells = [_escape(cell) for cell in row]
        table.add_row(*cells, style=None if "passed" in row else "red")
    console.print(table)


def _escape(text: str) -> str:
    return text.replace("[", r"\[")


def _print_plain(
    console: Console, title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]
) -> None:
    lines = [tuple(headings), *(tuple(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(headings))]
    console.print(title, markup=False, highlight=False)
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        text = "  " + "  ".join(cells).rstrip()
        console.print(text, markup=False, highlight=False, soft_wrap=True)
    console.print()
