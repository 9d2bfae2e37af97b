"""Reads the JSON files of a checkpoint, and says in one line why one can't be read."""

from __future__ import annotations

import json
from pathlib import Path

from oriel.contract.json_value import JsonObject, JsonValue
from oriel.errors import CheckpointError
from oriel.tokenizers.open_tokenizer import without_mark

_KINDS = {
    list: "a list",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "true or false",
}
_MAX_SHOWN = 80


def read_object(file: Path, folder_name: str | None = None) -> JsonObject:
    """Read a JSON object, with or without the byte order mark that some editors put first.

    folder_name: what the checkpoint is called, by default its folder's name. Raises CheckpointError
    for a file that can't be opened or holds no JSON object, and says where it stops being one.
    """
    try:
        found: JsonValue = json.loads(without_mark(file.read_bytes()).decode("utf-8"))
        if isinstance(found, dict):
            return found
        got = _KINDS.get(type(found), "null")
    except (OSError, ValueError, RecursionError) as error:
        got = _reason(file, error)
    raise CheckpointError(
        f"{file.name} in {folder_name or file.parent.name} can't be read",
        got=got,
        expected="a JSON object",
        next_step="correct it, or download the checkpoint again.",
    )


def _reason(file: Path, error: OSError | ValueError | RecursionError) -> str:
    if isinstance(error, OSError):
        return error.strerror or type(error).__name__
    if isinstance(error, RecursionError):
        return "brackets nested too deeply"
    data = file.read_bytes()
    if not data.strip():
        return "an empty file"
    if isinstance(error, UnicodeDecodeError):
        encoding = "UTF-16, not UTF-8" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "not UTF-8"
        return f"text that is {encoding}, at byte {error.start}"
    if isinstance(error, json.JSONDecodeError):
        lines = error.doc.splitlines() or [""]
        line = lines[min(error.lineno, len(lines)) - 1].strip()
        shown = line if len(line) <= _MAX_SHOWN else f"{line[:_MAX_SHOWN]}…"
        return f"{error.msg} at line {error.lineno}, column {error.colno}: {shown!r}"
    return "a number of too many digits"
