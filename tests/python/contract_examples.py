"""The example documents of contracts/examples, and a walk over the rules of a schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema.exceptions import ValidationError

CONTRACTS = Path(__file__).resolve().parents[2] / "contracts"
EXAMPLES = CONTRACTS / "examples"
SCHEMAS = ("activations", "edits", "lesson", "manifest")
# Their documents stand apart: the page, which reads every other one, knows nothing of them.
MODULES = EXAMPLES / "modules"
MODULE_SCHEMAS = ("module_metadata", "proof", "verification", "pipeline", "dashboards")

# Keywords that assert something about the instance, or lead to a schema that does.
ASSERTIONS = {
    "type",
    "const",
    "enum",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "contains",
    "oneOf",
    "not",
    "$ref",
}
# `if` asserts nothing, and `contains` and `not` fail as a whole.
SUBSCHEMAS = {"items", "then", "else"}
SUBSCHEMA_MAPS = {"properties", "$defs"}
SILENT = {"$schema", "$id", "title", "description", "if"}


@dataclass(frozen=True, eq=False)
class Invalid:
    """A document that readers must refuse: a valid one with one change."""

    name: str
    schema: str
    of: str
    """The valid document."""
    document: Any
    keyword: str | None
    """The keyword of the schema that refuses it; None where the schema accepts it."""
    at: str | None
    """A JSON pointer to where that keyword fails."""
    is_long: bool
    """Whether the change is one item of a list, many times over."""


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def valid_documents(folder: Path = EXAMPLES) -> dict[str, Any]:
    """Every valid example by its file name, which begins with its schema's."""
    return {file.name: read_json(file) for file in sorted((folder / "valid").glob("*.json"))}


def invalid_documents(folder: Path = EXAMPLES) -> list[Invalid]:
    """Every document of invalid.json, written out."""
    return [
        Invalid(
            name=change["name"],
            schema=change["of"].partition("__")[0],
            of=f"{change['of']}.json",
            document=_changed(read_json(folder / "valid" / f"{change['of']}.json"), change),
            keyword=change.get("keyword"),
            at=change.get("at"),
            is_long=isinstance(change.get("repeat", [""])[0], list),
        )
        for change in read_json(folder / "invalid.json")["changes"]
    ]


def _changed(document: Any, change: dict[str, Any]) -> Any:
    """The document with the change, as invalid.json describes it."""
    value = change.get("value")
    if "repeat" in change:
        part, times = change["repeat"]
        value = part * times
    if change["path"] == "":
        return value
    way, _, last = change["path"].rpartition("/")
    place = at_pointer(document, way)
    key = last if isinstance(place, dict) else len(place) if last == "-" else int(last)
    if "value" not in change and "repeat" not in change:
        del place[key]
    elif key == len(place):
        place.append(value)
    else:
        place[key] = value
    return document


def at_pointer(document: Any, pointer: str) -> Any:
    """The part of a document at a JSON pointer without escapes."""
    for part in pointer.split("/")[1:]:
        document = document[int(part) if isinstance(document, list) else part]
    return document


def read_schema(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = read_json(CONTRACTS / f"{name}.schema.json")
    return schema


def rules(schema: str) -> set[tuple[str, ...]]:
    """(schema, place…, keyword) of every assertion; of `required`, one for each property."""
    return set(_rules(read_schema(schema), (schema,)))


def _rules(node: Any, place: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for keyword, value in node.items():
        if keyword in ASSERTIONS:
            yield (*place, keyword)
        elif keyword == "required":
            yield from ((*place, keyword, name) for name in value)
        elif keyword in SUBSCHEMAS:
            yield from _rules(value, (*place, keyword))
        elif keyword in SUBSCHEMA_MAPS:
            for name, part in value.items():
                yield from _rules(part, (*place, keyword, name))
        elif keyword == "allOf":
            for number, part in enumerate(value):
                yield from _rules(part, (*place, keyword, str(number)))
        elif keyword == "additionalProperties":
            if value is False:
                yield (*place, keyword)
            elif value is not True:
                yield from _rules(value, (*place, keyword))
        else:
            assert keyword in SILENT, f"{keyword} is new here: say above whether it asserts"


def rules_broken(schema: str, error: ValidationError) -> Iterator[tuple[str, ...]]:
    """The rules that an error speaks of: its own, and every $ref on the way to it."""
    place: tuple[str, ...] = (schema,)
    parts = [str(part) for part in error.absolute_schema_path]
    node: Any = read_schema(schema)
    for part in parts:
        # jsonschema leaves `$ref` out of its paths.
        while "$ref" in node:
            yield (*place, "$ref")
            name, _, fragment = str(node["$ref"]).partition("#")
            if name:
                schema = name.split(":")[2]
            place = (schema, *fragment.split("/")[1:])
            node = at_pointer(read_schema(schema), fragment)
        if part == "required":
            given: Any = error.instance
            missing = [name for name in node["required"] if name not in given]
            yield (*place, part, *missing)
        else:
            place, node = (*place, part), node[int(part) if isinstance(node, list) else part]
    if error.validator != "required":
        yield place
