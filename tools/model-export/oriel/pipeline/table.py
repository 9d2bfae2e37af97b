"""A pipeline's table as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from oriel.pipeline.measure import Measured, Spread
from oriel.pipeline.measure_file import EAGER
from oriel.pipeline.rows import PipelineRow, case_names

_NOTHING = "–"


def table_text(rows: Sequence[PipelineRow]) -> str:
    """Return the table, then what needs a sentence: failures, files that weren't run, fusions."""
    lines = [*_table(_proof_columns(), rows)]
    timed = [row for row in rows if row.measured is not None]
    if timed:
        lines += ["", *_table(_time_columns(timed), timed)]
    notes = [*_reasons(rows), *_graphs(rows)]
    if notes:
        lines += ["", *(f"- {note}" for note in notes)]
    return "\n".join(lines) + "\n"


Column = tuple[str, Callable[[PipelineRow], str]]


def _table(columns: Sequence[Column], rows: Sequence[PipelineRow]) -> list[str]:
    head = [heading for heading, _ in columns]
    rule = ["---", *(["--:"] * (len(columns) - 1))]
    body = [[cell(row) for _, cell in columns] for row in rows]
    return [f"| {' | '.join(cells)} |" for cells in (head, rule, *body)]


def _proof_columns() -> list[Column]:
    return [
        ("format", lambda row: row.format),
        ("precision", lambda row: row.precision),
        ("MB", lambda row: _NOTHING if row.bytes is None else f"{row.bytes / 1e6:,.1f}"),
        ("relative error", lambda row: _error(row.relative)),
        ("norm ratio", lambda row: _NOTHING if row.norm_ratio is None else f"{row.norm_ratio:.6f}"),
        ("", _verdict),
    ]


def _verdict(row: PipelineRow) -> str:
    return f"{row.verdict}, fixed sizes" if row.fixed_sizes else row.verdict


def _time_columns(rows: Sequence[PipelineRow]) -> list[Column]:
    def of(case: str) -> Column:
        return f"{case}, ms", lambda row: _milliseconds(row, case)

    return [
        ("format", lambda row: row.name),
        ("load, s", lambda row: _spread(row.measured.load_s) if row.measured else _NOTHING),
        (
            "memory, MB",
            lambda row: _spread(row.measured.memory_mb, 0) if row.measured else _NOTHING,
        ),
        *(of(case) for case in case_names(rows)),
    ]


def _of(measured: Measured | None, cell: Callable[[Measured], str]) -> str:
    return _NOTHING if measured is None else cell(measured)


def _milliseconds(row: PipelineRow, case: str) -> str:
    found = None if row.measured is None else row.measured.seconds.get(case)
    if found is None:
        return _NOTHING
    return _spread(Spread(found.median * 1e3, found.least * 1e3, found.largest * 1e3), 1)


def _spread(found: Spread, digits: int = 2) -> str:
    return f"{found.median:.{digits}f} ({found.least:.{digits}f} to {found.largest:.{digits}f})"


def _error(value: float | None) -> str:
    if value is None:
        return _NOTHING
    return f"{value:.1e}" if value else "0"


def _reasons(rows: Sequence[PipelineRow]) -> list[str]:
    notes = [f"{row.name}: {row.verdict}: {row.reason}" for row in rows if row.reason is not None]
    return notes + [f"{row.name}: not timed: {row.untimed}" for row in rows if row.untimed]


def _graphs(rows: Sequence[PipelineRow]) -> list[str]:
    notes = []
    for row in rows:
        if row.nodes is None or row.optimized_nodes is None:
            continue
        share = row.optimized_nodes / row.nodes - 1
        fused = ", ".join(f"{count} {name}" for name, count in row.fused.items()) or "none"
        notes.append(
            f"{row.name}: {row.nodes:,} nodes, {row.optimized_nodes:,} after ONNX Runtime's "
            f"optimisation ({share:+.0%}); it made: {fused}"
        )
    return notes


def ratio_to_eager(rows: Sequence[PipelineRow], name: str, case: str) -> float | None:
    """Return how many times faster than the module itself a file is; None where one has no time."""
    by_name = {row.name: row.measured for row in rows}
    ours, eager = by_name.get(name), by_name.get(EAGER)
    if ours is None or eager is None or case not in ours.seconds or case not in eager.seconds:
        return None
    return eager.seconds[case].median / ours.seconds[case].median
