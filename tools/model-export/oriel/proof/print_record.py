"""A record as a table for people: the worst case of every output, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console

from oriel.contract.activation_names import kind_of, parse_name
from oriel.contract.documents import ProofArtifact, ProofOutput, ProofRecord
from oriel.errors import first_few

_HEADINGS = ("output", "relative", "norm ratio", "absolute", "bound", "", "worst on")
_MOST_ROWS = 24
"""Outputs up to which each has a row; of more, those of one kind share one."""


def print_record(record: ProofRecord, console: Console | None = None) -> None:
    """Print what was compared, the errors, and whether they are the same model."""
    console = console or Console()
    for role in ("reference", "candidate"):
        artifact = record["reference"] if role == "reference" else record["candidate"]
        _say(console, f"{role}: {_described(artifact)}")
    _say(console, f"on: {'; '.join(case['name'] for case in record['cases'])}")
    rows = [_HEADINGS, *proof_rows(record)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_HEADINGS))]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        _say(console, "  ".join(cells).rstrip())
    left_out = [row["name"] for row in record["not_compared"]]
    if left_out:
        _say(console, f"in one of the two alone: {first_few(left_out, 6)}")
    _say(console, verdict_text(record))


def _described(artifact: ProofArtifact) -> str:
    versions = artifact["versions"]
    with_versions = ", ".join(f"{name} {version}" for name, version in versions.items())
    parts = [artifact["kind"], artifact["format"], artifact["variant"], artifact["runtime"]]
    parts += [artifact["provider"], artifact["device"], with_versions]
    return f"{artifact['place']} ({', '.join(part for part in parts if part)})"


def proof_rows(record: ProofRecord) -> list[tuple[str, ...]]:
    """Return a row for each output, or for each kind where there are many: its worst case."""
    named = [(case["name"], output) for case in record["cases"] for output in case["outputs"]]
    many = len({output["name"] for _, output in named}) > _MOST_ROWS
    groups: dict[str, list[tuple[str, ProofOutput]]] = {}
    for where, output in named:
        groups.setdefault(_group(output["name"]) if many else output["name"], []).append(
            (where, output)
        )
    return [_row(name, found) for name, found in groups.items()]


def _group(name: str) -> str:
    """Return the kind of an activation or of a part of the cache, with a star for the layer."""
    parsed = parse_name(name)
    if parsed is not None:
        return kind_of(name) if parsed[1] is None else f"*_{kind_of(name)}"
    first, dot, rest = name.partition(".")
    return f"{first}.*.{rest.rpartition('.')[2]}" if dot else name


def _row(name: str, found: Sequence[tuple[str, ProofOutput]]) -> tuple[str, ...]:
    where, worst = max(found, key=lambda row: _badness(row[1]))
    bound = worst["bound"]
    passed = worst["passed"]
    verdict = {True: "same", False: "apart", None: "measured"}[passed]
    return (
        name,
        _number(worst["relative"]),
        _ratio(worst["norm_ratio"]),
        _number(worst["absolute"]),
        "" if bound is None else _number(bound),
        worst["problem"] or verdict,
        f"{worst['name']}, {where}" if worst["name"] != name else where,
    )


def _badness(output: ProofOutput) -> tuple[bool, float]:
    relative = output["relative"]
    return output["passed"] is False, float("inf") if relative is None else relative


def _number(value: float | None) -> str:
    if value is None:
        return "—"
    return f"{value:.1e}" if value else "0"


def _ratio(value: float | None) -> str:
    return "—" if value is None else f"{value:.6f}"


def verdict_text(record: ProofRecord) -> str:
    """Return the result in a sentence."""
    count = len({output["name"] for case in record["cases"] for output in case["outputs"]})
    cases = len(record["cases"])
    over = f"{count} output{'s' * (count > 1)} on {cases} input{'s' * (cases > 1)}"
    apart = record["first_apart"]
    texts: Mapping[str, str] = {
        "same": f"the same model: {over}, each within its bound",
        "measured": f"measured, with no bound to hold: {over}; give one with --max-error",
    }
    if apart is None:
        return texts[record["verdict"]]
    return f"not the same model: they part first at {apart['output']}, on {apart['case']}"


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
