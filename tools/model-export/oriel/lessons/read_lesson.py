"""Reads a lesson from a file: strict JSON, of this version, that keeps
contracts/lesson.schema.json. The same rules in TypeScript:
apps/web/src/contract/validate_lesson.ts."""

from __future__ import annotations

from pathlib import Path
from typing import cast

from oriel.contract.activation_contract import check_major, schema_problem
from oriel.contract.documents import LessonDocument
from oriel.contract.strict_json import read_json
from oriel.errors import ContractError, OptionError

_VERSION = ("lesson_version", "1")
MAX_BYTES = 512 * 1024
"""Largest lesson: the page fetches no larger one."""


def read_lesson(file: Path) -> LessonDocument:
    """Return the lesson in a file. Raises OptionError where there is none, ContractError for one
    that the page would refuse."""
    if not file.is_file():
        raise OptionError(
            "there is no such lesson",
            got=str(file),
            expected="a lesson's .json file, as docs/lessons.md describes it",
        )
    raw = file.read_bytes()
    if len(raw) > MAX_BYTES:
        raise ContractError(
            f"{file.name} is too large for a lesson",
            got=f"{len(raw)} bytes",
            expected=f"at most {MAX_BYTES}",
        )
    return check_lesson_document(read_json(raw, file.name), file.name)


def check_lesson_document(document: object, what: str) -> LessonDocument:
    """Return a lesson after holding it to its version and its schema. what: its name in an
    error."""
    check_major(document, _VERSION, what, "use the Oriel that it was written for.")
    problem = schema_problem("lesson", document)
    if problem is not None:
        raise ContractError(
            f"{what} is no lesson as contracts/lesson.schema.json has it",
            got=problem,
            next_step="see docs/lessons.md.",
        )
    return cast(LessonDocument, document)
