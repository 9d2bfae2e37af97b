"""The example documents of contracts/examples, and a walk over the rules of a schema."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema.exceptions import ValidationError

CONTRACTS = Path(__file__).resolve().parents[2] / "contracts"
EXAMPLES = CONTRACTS / "examples"
SCHEMAS = ("activations", "manifest")

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
    "$ref",
}
# `if` asserts nothing, and `contains` fails as a whole.
SUBSCHEMAS = {"items", "then", "else"}
SUBSCHEMA_MAPS = {"properties", "$defs"}
SILENT = {"$schema", "$id", "title", "description", "if"}


@dataclass(frozen=True, eq=False)
class Invalid:
    """A document that must fail: where, and for which keyword."""

    name: str
    schema: str
    keyword: str
    path: str
    """A JSON pointer."""
    document: Any
    valid: str
    """The valid document that it was made from by one change."""
    repeated: bool = False
    """Whether the change is an item, many times over."""


def read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def valid_documents() -> dict[str, Any]:
    """Every valid example by its file name, which begins with its schema's."""
    return {file.name: read_json(file) for file in sorted((EXAMPLES / "valid").glob("*.json"))}


def invalid_documents() -> list[Invalid]:
    """Every invalid example of index.json, repeated ones written out."""
    index = read_json(EXAMPLES / "invalid" / "index.json")
    found = [
        Invalid(
            name,
            entry["schema"],
            entry["keyword"],
            entry["path"],
            read_json(EXAMPLES / "invalid" / name),
            entry["of"],
        )
        for name, entry in index["files"].items()
    ]
    for entry in index["repeated"]:
        document = read_json(EXAMPLES / "valid" / entry["of"])
        array = at_pointer(document, entry["path"])
        array[:] = [copy.deepcopy(array[0]) for _ in range(entry["times"])]
        name = f"{entry['of']}{entry['path']} {entry['times']} times"
        place = (entry["schema"], entry["keyword"], entry["path"])
        found.append(Invalid(name, *place, document, entry["of"], repeated=True))
    return found


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
            if value is not True:
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
