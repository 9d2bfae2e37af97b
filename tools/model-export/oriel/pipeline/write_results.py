"""pipeline.json, pipeline.md and pipeline.svg, written together; rows of an earlier call that were
not made anew stay."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

from oriel.bundle.atomic_folder import write_files_whole
from oriel.contract.activation_contract import check_major, check_schema
from oriel.contract.documents import PipelineResults
from oriel.contract.strict_json import read_json
from oriel.errors import ContractError
from oriel.pipeline.measure_file import EAGER
from oriel.pipeline.plot import can_plot, write_plot
from oriel.pipeline.rows import PipelineRow
from oriel.pipeline.table import table_text

RESULTS, TABLE, PLOT = "pipeline.json", "pipeline.md", "pipeline.svg"
_VERSION = "2.0"


def write_results(
    rows: Sequence[PipelineRow], formats: Sequence[str], output: Path
) -> tuple[list[PipelineRow], str | None]:
    """Write the three files; return all rows, in the order of the formats, and a notice for the
    user where no plot could be made."""
    output.mkdir(parents=True, exist_ok=True)
    every = _with_earlier(rows, formats, output / RESULTS)
    document: PipelineResults = {
        "format": "oriel-pipeline",
        "pipeline_version": _VERSION,
        "rows": [row.to_json() for row in every],
    }
    check_results(document, RESULTS)
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_files_whole({output / RESULTS: text.encode(), output / TABLE: table_text(every).encode()})
    if not can_plot():
        return every, f"no {PLOT}: pip install 'oriel[plot]' for matplotlib"
    write_plot(every, output / PLOT)
    return every, None


def _with_earlier(
    rows: Sequence[PipelineRow], formats: Sequence[str], file: Path
) -> list[PipelineRow]:
    made = {row.format for row in rows}
    earlier = read_rows(file) if file.is_file() else []
    kept = [row for row in earlier if row.format in formats and row.format not in made]
    order = [EAGER, *formats]
    # The module itself is the same in a call that times nothing.
    timed = next((row.measured for row in earlier if row.format == EAGER), None)
    new = [
        replace(row, measured=timed) if row.format == EAGER and row.measured is None else row
        for row in rows
    ]
    return sorted([*new, *kept], key=lambda row: order.index(row.format))


def read_rows(file: Path) -> list[PipelineRow]:
    """Return the rows of a pipeline.json. Raises ContractError for another document, and for one of
    another form."""
    data = read_json(file.read_bytes(), file.name)
    return [PipelineRow.from_json(row) for row in check_results(data, file.name)["rows"]]


def check_results(data: object, what: str) -> PipelineResults:
    """Return a pipeline's document after holding it to its schema."""
    if not isinstance(data, dict) or data.get("format") != "oriel-pipeline":
        raise ContractError(f"{what} is no result of oriel pipeline")
    next_step = "remove it and run oriel pipeline again: the files that are there stay."
    check_major(data, ("pipeline_version", _VERSION.partition(".")[0]), what, next_step)
    check_schema("pipeline", data, what)
    return cast(PipelineResults, data)
