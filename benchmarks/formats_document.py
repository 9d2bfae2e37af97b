"""Writes the tables of docs/formats.md from a pipeline's rows, between the document's markers; the
text around them is kept. formats.py measures."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from oriel.pipeline.rows import PipelineRow
from oriel.pipeline.table import ratio_to_eager, table_text

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "formats.md"
_MARKED = re.compile(r"(<!-- table (\w+) -->\n).*?(<!-- end of table \2 -->)", re.DOTALL)
_SHORT, _LONG = "1 × 16", "1 × 128"


@dataclass(frozen=True)
class Claim:
    """A figure that guides give, and the row here that says what holds of it."""

    text: str
    model: str
    row: str
    claimed: float
    """Times as fast as PyTorch, eagerly."""


CLAIMS = (
    Claim("ONNX Runtime runs GPT-2 on a CPU 2.8 times as fast as PyTorch", "gpt2", "onnx", 2.8),
    Claim("dynamic int8 runs BERT 1.51 times as fast", "bert", "onnx int8", 1.51),
    Claim("static int8 runs BERT 1.78 times as fast", "bert", "onnx int8_static", 1.78),
    Claim("TorchScript runs BERT 1.38 times as fast", "bert", "ts", 1.38),
    Claim("TorchScript runs GPT-2 1.60 times as fast", "gpt2", "ts", 1.60),
)


def write_document(rows: Mapping[str, Sequence[PipelineRow]]) -> None:
    """Put each model's table, and that of the claims, in its place.

    A claim of a model that was not measured this time keeps its row.
    """
    text = DOCUMENT.read_text(encoding="utf-8")
    tables = {name: table_text(found) for name, found in rows.items()}
    tables["claims"] = claims_text(rows, text.splitlines())

    def filled(match: re.Match[str]) -> str:
        found = tables.get(match[2])
        return match[0] if found is None else f"{match[1]}\n{found}\n{match[3]}"

    DOCUMENT.write_text(_MARKED.sub(filled, text), encoding="utf-8")


def claims_text(rows: Mapping[str, Sequence[PipelineRow]], earlier: Sequence[str]) -> str:
    """Return the table of claims, each beside what was measured at two lengths.

    `earlier` holds the lines of the document, which has the row of a model that has no rows now.
    """
    lines = [
        f"| claim | measured, {_SHORT} | measured, {_LONG} | |",
        "| --- | --: | --: | --- |",
    ]
    for claim in CLAIMS:
        kept = [line for line in earlier if line.startswith(f"| {claim.text} |")]
        if claim.model not in rows and kept:
            lines += kept
            continue
        found = rows.get(claim.model, ())
        ratios = [ratio_to_eager(found, claim.row, case) for case in (_SHORT, _LONG)]
        cells = ["–" if ratio is None else f"{ratio:.2f} ×" for ratio in ratios]
        known = [ratio for ratio in ratios if ratio is not None]
        lines.append(f"| {claim.text} | {' | '.join(cells)} | {_holds(known, claim.claimed)} |")
    return "\n".join(lines) + "\n"


def _holds(ratios: Sequence[float], claimed: float) -> str:
    if not ratios:
        return "not measured"
    if min(ratios) >= claimed:
        return "holds"
    return "holds in part" if max(ratios) >= claimed else "doesn't hold here"
