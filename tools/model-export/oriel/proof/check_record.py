"""Records held to contracts/proof.schema.json, read from a file and written whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

from oriel.bundle.atomic_folder import write_files_whole
from oriel.contract.activation_contract import check_major, check_schema
from oriel.contract.documents import ProofRecord
from oriel.contract.strict_json import read_json
from oriel.errors import OptionError

_VERSION = ("proof_version", "1")


def check_record(data: object, what: str) -> ProofRecord:
    """Return a record. Raises ContractError for another major version, and for a document that
    breaks its schema."""
    if isinstance(data, dict) and data.get("format") == "oriel-verification":
        raise OptionError(
            f"{what} holds a record for each graph of each variant",
            got=what,
            expected="verification.json:VARIANT or verification.json:VARIANT:GRAPH",
        )
    next_step = "compare the two anew, or use the Oriel that wrote it."
    check_major(data, _VERSION, what, next_step)
    check_schema("proof", data, what)
    return cast(ProofRecord, data)


def read_record(file: Path) -> ProofRecord:
    """Return the record in a file. Raises OrielError for none."""
    if not file.is_file():
        raise OptionError("there is no such record", got=str(file), expected="a record of prove")
    return check_record(read_json(file.read_bytes(), file.name), file.name)


def record_text(record: ProofRecord) -> str:
    """Return the record as JSON, after holding it to its schema."""
    check_record(record, "the record")
    return json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def write_record(record: ProofRecord, file: Path) -> None:
    """Write a record, whole or not at all."""
    write_files_whole({file: record_text(record).encode()})
