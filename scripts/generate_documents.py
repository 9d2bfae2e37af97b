"""Generates Python's types of the contract's documents from its JSON Schemas; `--check` fails where
the committed file has drifted. generate_contract.mjs does the same for the page.

datamodel-code-generator can do this too, but brings twenty packages, writes `Any` for objects of
unknown keys, and names a type `Path` that isn't pathlib's."""

from __future__ import annotations

import json
import keyword
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path

Schema = Mapping[str, object]

ROOT = Path(__file__).resolve().parents[1]
CONTRACTS = ROOT / "contracts"
TARGET = ROOT / "tools" / "model-export" / "oriel" / "contract" / "documents.py"

HEADER = '''"""Types of the contract's JSON documents. Generated from contracts/ by
`npm run contract`: change the schemas, not this file. They are TypedDicts, not dataclasses: a
document that is read and written again keeps the entries of a newer minor version."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict

from oriel.contract.json_value import JsonValue

'''

DOCUMENTS = (
    "manifest",
    "activations",
    "module_metadata",
    "proof",
    "verification",
    "pipeline",
    "dashboards",
)
"""The schemas of contracts/, in the order in which their types are written."""
OWN_CLASSES = {
    "ActivationFidelity": "ActivationFidelityRecord",
    "Attribution": "AttributionRecord",
    "Calibration": "CalibrationRecord",
    "Claim": "ClaimRecord",
    "Edit": "EditRecord",
    "EncodedWeight": "EncodedWeightRecord",
    "Fidelity": "FidelityRecord",
    "FidelityBounds": "FidelityBoundsRecord",
    "LayerSizes": "LayerSizesRecord",
    "Manifest": "ManifestDocument",
    "ModelShape": "ModelShapeRecord",
    "Question": "LessonQuestion",
    "Tap": "TapRecord",
    "TensorSpec": "TensorSpecRecord",
    "Text": "LessonText",
}
"""{title: name in Python} where the title is the name of a class that computes with the record."""

SCALARS = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}
VALUE_RULES = {
    *("$schema", "$id", "$defs", "title", "description", "pattern", "minLength", "maxLength"),
    *("minimum", "maximum", "minItems", "maxItems", "contains", "allOf", "if", "then", "else"),
}
"""Keywords that say nothing about the type, or nothing that Python's types can say."""
TYPE_RULES = {"$ref", "const", "enum", "oneOf", "type", "properties", "required", "items"}


class SchemaError(Exception):
    """A schema says something that this generator would silently drop."""


class Documents:
    """The types of all documents, written as they are met."""

    def __init__(self, schemas: Mapping[str, Schema]) -> None:
        self._schemas = {str(schema["$id"]): schema for schema in schemas.values()}
        self._written: dict[str, str] = {}
        """{name: source}, in the order of first use."""

    def source(self) -> str:
        for identifier, schema in self._schemas.items():
            self._type(schema, identifier)
        return HEADER + "\n\n".join(self._written.values())

    def _type(self, node: Schema, home: str) -> str:
        """Return the Python type of a schema. home: the $id of the document that it stands in."""
        unknown = node.keys() - VALUE_RULES - TYPE_RULES - {"additionalProperties"}
        if unknown:
            raise SchemaError(f"{sorted(unknown)} is new here: say above whether it is of the type")
        if "$ref" in node:
            return self._referred(str(node["$ref"]), home)
        if "const" in node:
            return f"Literal[{node['const']!r}]"
        if "enum" in node:
            return f"Literal[{', '.join(map(repr, _items(node['enum'])))}]"
        if "oneOf" in node:
            return " | ".join(self._type(_schema(part), home) for part in _items(node["oneOf"]))
        kinds = node["type"] if isinstance(node["type"], list) else [node["type"]]
        return " | ".join(self._of_kind(str(kind), node, home) for kind in kinds)

    def _of_kind(self, kind: str, node: Schema, home: str) -> str:
        if kind in SCALARS:
            return SCALARS[kind]
        if kind == "array":
            return f"list[{self._type(_schema(node['items']), home)}]"
        if "properties" in node:
            return self._class(node, home)
        others = node.get("additionalProperties", True)
        values = "JsonValue" if isinstance(others, bool) else self._type(_schema(others), home)
        return f"dict[str, {values}]"

    def _referred(self, reference: str, home: str) -> str:
        identifier, _, pointer = reference.partition("#")
        home = identifier or home
        node = self._schemas[home]
        for part in pointer.split("/")[1:]:
            node = _schema(node[part])
        if "oneOf" not in node:
            return self._type(node, home)
        title = pointer.rpartition("/")[2].capitalize()
        name = OWN_CLASSES.get(title, title)
        if name not in self._written:
            described = _docstring(node, "")
            self._written[name] = f"{name} = {self._type(node, home)}\n{described}"
        return name

    def _class(self, node: Schema, home: str) -> str:
        """Write a TypedDict for an object with a title, and return its name."""
        title = str(node["title"])
        name = OWN_CLASSES.get(title, title)
        if name in self._written:
            return name
        self._written[name] = ""  # its place, before those of its parts
        required = set(_items(node.get("required", [])))
        fields: list[tuple[str, str, Schema]] = []
        for key, value in _schema(node["properties"]).items():
            said = self._type(_schema(value), home)
            said = said if key in required else f"NotRequired[{said}]"
            fields.append((key, said, _schema(value)))
        if any(keyword.iskeyword(key) for key, _, _ in fields):
            # A class can't have a field with the name of a keyword.
            rows = "".join(f"{key!r}: {said!r},\n" for key, said, _ in fields)
            source = f"{name} = TypedDict({name!r}, {{{rows}}})\n"
            self._written[name] = source + _docstring(node, "")
            return name
        rows = "".join(
            f"    {key}: {said}\n{_docstring(value, '    ')}" for key, said, value in fields
        )
        self._written[name] = f"class {name}(TypedDict):\n{_docstring(node, '    ')}\n{rows}"
        return name


def _items(value: object) -> list[object]:
    if not isinstance(value, list):
        raise SchemaError(f"a list is expected, not {value!r}")
    return value


def _schema(value: object) -> Schema:
    if not isinstance(value, dict):
        raise SchemaError(f"a schema is expected, not {value!r}")
    return value


def _docstring(node: Schema, indent: str) -> str:
    """Return a schema's description as a docstring of lines that aren't too long."""
    if "description" not in node:
        return ""
    said = str(node["description"])
    first, space, rest = said.partition(" ")
    # A name, such as model_type or float32, stays as it is.
    begun = first[0].upper() + first[1:] if first.isalpha() else first
    text = f'"""{begun}{space}{rest.rstrip(".")}."""'
    wrapped = textwrap.wrap(text, 100 - len(indent), break_on_hyphens=False)
    return "".join(f"{indent}{line}\n" for line in wrapped)


def read_schemas() -> dict[str, Schema]:
    """Return the contract's schemas by name, the manifest's first."""
    return {
        name: _schema(json.loads((CONTRACTS / f"{name}.schema.json").read_text(encoding="utf-8")))
        for name in (
            "manifest",
            "activations",
            "module_metadata",
            "proof",
            "verification",
            "pipeline",
            "edits",
            "lesson",
            "dashboards",
        )
    }


def generate(schemas: Mapping[str, Schema]) -> str:
    """Return the source of documents.py, formatted as the rest of the code is."""
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(TARGET), "-"]
    source = Documents(schemas).source()
    formatted = subprocess.run(
        command, input=source, capture_output=True, encoding="utf-8", check=True, cwd=ROOT
    )
    return formatted.stdout


def is_current(source: str, target: Path) -> bool:
    """Return whether the file at target holds that source."""
    return target.is_file() and target.read_text(encoding="utf-8") == source


def main(arguments: list[str]) -> int:
    """Write documents.py, or with --check compare it."""
    source = generate(read_schemas())
    if "--check" not in arguments:
        TARGET.write_text(source, encoding="utf-8")
    elif not is_current(source, TARGET):
        name = TARGET.relative_to(ROOT).as_posix()
        print(f"{name} does not match contracts/: run `npm run contract`.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
