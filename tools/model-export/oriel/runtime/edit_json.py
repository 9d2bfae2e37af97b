"""Edits as JSON, the same for Python and the page (contracts/edits.schema.json), and read from it.
Edit.to_json writes one."""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType
from typing import cast

from oriel.contract.activation_contract import check_major, schema_problem
from oriel.contract.documents import EditRecord, EditsDocument
from oriel.errors import ContractError, OptionError
from oriel.runtime.edit_values import numbers_from_json, places_from_json
from oriel.runtime.edits import Add, Cap, Clamp, Edit, KnockOut, ProjectOut, Replace, Scale, Swap

VERSION = "1.1"
"""Of the form: major.minor."""
_CLASSES = MappingProxyType(
    {edit.edit: edit for edit in (Scale, Add, Replace, KnockOut, ProjectOut, Cap, Swap, Clamp)}
)
_PLACES = ("head", "neuron", "position", "query", "key", "row")
_NUMBERS = ("vector", "value")


def edits_to_json(edits: Iterable[Edit]) -> EditsDocument:
    """Return a document of edits. Raises OptionError for one whose numbers are none."""
    return {"edits_version": VERSION, "edits": [edit.to_json() for edit in edits]}


def edits_from_json(document: object) -> list[Edit]:
    """Return the edits of a document. Raises ContractError where it is of another major version or
    breaks its schema, for the first edit that does, and for numbers that float32 doesn't hold."""
    version = ("edits_version", VERSION.partition(".")[0])
    check_major(document, version, "the list of edits", "use the Oriel that wrote it.")
    listed = document.get("edits") if isinstance(document, dict) else None
    records = listed if isinstance(listed, list) else []
    # Before the whole, as errors of one edit say more.
    edits = [edit_from_json(each, f"edit {at}") for at, each in enumerate(records)]
    _check("edits", document, "the list of edits")
    return edits


def edit_from_json(record: object, what: str = "the edit") -> Edit:
    """Return an edit. what: its name in an error. Raises ContractError as edits_from_json does."""
    name = record.get("edit") if isinstance(record, dict) else None
    if not isinstance(name, str) or name not in _CLASSES:
        raise ContractError(
            f"{what} is no edit that Oriel knows",
            got=f"edit {str(name)[:32]!r}" if isinstance(record, dict) else type(record).__name__,
            expected=f"edit: one of {', '.join(_CLASSES)}",
        )
    kind = _CLASSES[name]
    first, *others = name.split("-")
    definition = first + "".join(other.capitalize() for other in others)
    _check(f"edits#/$defs/{definition}", record, f"{what} ({name})")
    given = dict(cast(EditRecord, record))
    del given["edit"]
    given["layer"] = int(cast(int, given["layer"]))
    for key in _PLACES:
        if key in given:
            given[key] = places_from_json(cast(list[int], given[key]))
    for key in _NUMBERS:
        if key in given:
            given[key] = numbers_from_json(cast(list[float], given[key]), f"{key} of {what}")
    edit = kind(**given)  # type: ignore[arg-type]
    try:
        edit.numbers()
    except OptionError as error:
        raise ContractError(
            f"{what}: {error.what}", got=error.got, expected=error.expected
        ) from error
    return edit


def _check(name: str, document: object, what: str) -> None:
    problem = schema_problem(name, document)
    if problem is not None:
        raise ContractError(f"{what} doesn't keep contracts/edits.schema.json", got=problem)
