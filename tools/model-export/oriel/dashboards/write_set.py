"""Writes dashboards as files: for each layer of a kind some Parquet files, sorted by unit, and an
index that says where each group of rows lies and what its digest is, so that a reader takes one
unit by three requests for ranges and proves what came."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from oriel.contract.activation_contract import schema_problem
from oriel.contract.dashboards import MAJOR, check_dashboard_index
from oriel.contract.documents import (
    DashboardFile,
    DashboardGroup,
    DashboardIndex,
    DashboardRange,
    DashboardRows,
    DashboardSet,
)
from oriel.dashboards.logit_tokens import LogitTokens
from oriel.dashboards.packages import pyarrow_module
from oriel.dashboards.unit_tables import Counted, unit_table
from oriel.dashboards.units import UnitGroup

SET_FILE = "dashboards.json"
INDEX_VERSION = f"{MAJOR}.0"
FILE_UNITS = 512
"""Units in a file at most: its footer, which every reader of it takes, grows with them."""
GROUP_UNITS = 32
"""Units in a group of rows: a reader of one unit takes all of them."""


def write_set(
    folder: Path,
    counted: Counted,
    record: DashboardSet,
    tokens_of: Callable[[UnitGroup], LogitTokens | None],
) -> None:
    """Write the files of all groups and the record of the set, the last file, into a folder.

    tokens_of: returns the tokens that a group's units promote and suppress.
    """
    for group, entry in zip(counted.groups, record["groups"], strict=True):
        table = unit_table(counted, group, tokens_of(group))
        files: list[DashboardFile] = []
        for part, first in enumerate(range(0, group.count, FILE_UNITS)):
            path = f"{entry['path'].removesuffix('.json')}_{part}.parquet"
            files.append(_write_file(folder, path, table.slice(first, FILE_UNITS)))
        index: DashboardIndex = {
            "dashboards_version": INDEX_VERSION,
            "weights": record["weights"],
            "kind": group.kind,
            "layer": group.layer,
            "units": group.count,
            "files": files,
        }
        check_dashboard_index(index, entry["path"])
        _write_json(folder / entry["path"], index)
    problem = schema_problem("manifest#/$defs/dashboardSet", record)
    assert problem is None, problem
    _write_json(folder / SET_FILE, record)


def group_records(
    groups: tuple[UnitGroup, ...], dictionaries: Mapping[str, str]
) -> list[DashboardGroup]:
    """Return the record of each group, with the name of its index. dictionaries: {name: digest of
    the file} of those whose features are among the units."""
    records: list[DashboardGroup] = []
    for group in groups:
        record: DashboardGroup = {
            "kind": group.kind,
            "layer": group.layer,
            "units": group.count,
            "path": f"{group.kind}_{group.layer}.json",
        }
        if group.dictionary is not None:
            record["dictionary"] = dictionaries[group.dictionary]
        records.append(record)
    return records


def _write_file(folder: Path, path: str, table: object) -> DashboardFile:
    pyarrow_module()
    import pyarrow
    from pyarrow import parquet

    assert isinstance(table, pyarrow.Table)
    parquet.write_table(
        table,
        folder / path,
        row_group_size=GROUP_UNITS,
        compression="snappy",
        use_dictionary=False,
        write_statistics=["unit"],
        write_page_index=True,
        store_schema=False,
    )
    data = (folder / path).read_bytes()
    metadata = parquet.read_metadata(io.BytesIO(data))
    rows: list[DashboardRows] = []
    for at in range(metadata.num_row_groups):
        group = metadata.row_group(at)
        columns = [group.column(each) for each in range(group.num_columns)]
        begin = min(each.data_page_offset for each in columns)
        size = sum(each.total_compressed_size for each in columns)
        rows.append({"units": group.num_rows, **_range(data, begin, begin + size)})
    end = rows[-1]["begin"] + rows[-1]["bytes"]
    return {
        "path": path,
        "bytes": len(data),
        "digest": _digest(data),
        "units": table.num_rows,
        # The page index stands before the footer itself.
        "footer": _range(data, end, len(data)),
        "row_groups": rows,
    }


def _range(data: bytes, begin: int, end: int) -> DashboardRange:
    return {"begin": begin, "bytes": end - begin, "digest": _digest(data[begin:end])}


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _write_json(file: Path, document: DashboardIndex | DashboardSet) -> None:
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    file.write_text(f"{text}\n", encoding="utf-8")
