"""pipeline.json, pipeline.md and pipeline.svg, written together; rows of an earlier call that were
not made anew stay."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from oriel.bundle.atomic_folder import write_files_whole
from oriel.contract.json_value import JsonObject
from oriel.contract.strict_json import read_json
from oriel.errors import ContractError
from oriel.pipeline.measure import Measured, Spread
from oriel.pipeline.measure_file import EAGER
from oriel.pipeline.plot import can_plot, write_plot
from oriel.pipeline.rows import PipelineRow
from oriel.pipeline.table import table_text

RESULTS, TABLE, PLOT = "pipeline.json", "pipeline.md", "pipeline.svg"
_VERSION = "1.0"


def write_results(
    rows: Sequence[PipelineRow], formats: Sequence[str], output: Path
) -> tuple[list[PipelineRow], str | None]:
    """Write the three files; return all rows, in the order of the formats, and a notice for the
    user where no plot could be made."""
    output.mkdir(parents=True, exist_ok=True)
    every = _with_earlier(rows, formats, output / RESULTS)
    document: JsonObject = {
        "format": "oriel-pipeline",
        "pipeline_version": _VERSION,
        "rows": [row.to_json() for row in every],
    }
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
    """Return the rows of a pipeline.json. Raises ContractError for another document."""
    data = read_json(file.read_bytes(), file.name)
    entries = data if isinstance(data, dict) else {}
    rows = entries.get("rows")
    if not isinstance(rows, list) or entries.get("format") != "oriel-pipeline":
        raise ContractError(f"{file.name} is no result of oriel pipeline")
    try:
        return [_row(row) for row in rows if isinstance(row, dict)]
    except (KeyError, TypeError) as error:
        raise ContractError(
            f"{file.name} can't be read", got=f"{type(error).__name__}: {error}"
        ) from error


def _row(data: Mapping[str, object]) -> PipelineRow:
    entries = dict(data)
    measured = entries.pop("measured")
    row = PipelineRow(**entries)  # type: ignore[arg-type]
    if not isinstance(measured, dict):
        return row
    found = Measured(
        Spread(**measured["load_s"]),
        Spread(**measured["memory_mb"]),
        {name: Spread(**each) for name, each in measured["seconds"].items()},
    )
    return PipelineRow(**entries, measured=found)  # type: ignore[arg-type]
