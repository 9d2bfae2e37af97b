"""The generated types of the contract's documents are in step with the schemas: the file is what
the generator writes, every valid example fits its type, and examples of a wrong type don't."""

from __future__ import annotations

import ast
import copy
import types
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

import generate_documents
import pytest
from contract_examples import (
    CONTRACTS,
    MODULES,
    Invalid,
    invalid_documents,
    read_json,
    valid_documents,
)

import oriel
from oriel.contract.data_files import BrowserMemory, ContractTable, Limits
from oriel.contract.documents import (
    ActivationsDocument,
    DashboardIndex,
    EditsDocument,
    LessonDocument,
    ManifestDocument,
    ModuleMetadata,
    PipelineResults,
    ProofRecord,
    VerificationRecord,
)
from oriel.precision.recipes import recipe
from oriel.precision.recipes.recipe import RuleRecord

TYPES = {
    "activations": ActivationsDocument,
    "edits": EditsDocument,
    "lesson": LessonDocument,
    "manifest": ManifestDocument,
    "module_metadata": ModuleMetadata,
    "proof": ProofRecord,
    "verification": VerificationRecord,
    "pipeline": PipelineResults,
    "dashboards": DashboardIndex,
}
VALID = {**valid_documents(), **valid_documents(MODULES)}
OF_ONE_MAJOR = (
    "variant no interactive",
    "joints missing",
    "static graph without cache length",
    "static graph without joints",
    "static graph of the major before",
    "a decoder of the major before",
    "an interactive graph of this major",
    "decoder missing",
    "open graph missing",
    "a container without its class",
    "a container without keys",
    "a container without parts",
    "a constant without text",
)
"""Rules for the documents of one major, one kind of graph or one kind of value, where one type
serves all."""
OF_TYPE = [
    i
    for i in [*invalid_documents(), *invalid_documents(MODULES)]
    if i.keyword in ("type", "required", "enum", "const") and i.name not in OF_ONE_MAJOR
]


@cache
def fields_of(document: type) -> dict[str, object]:
    """Return {key: type} of a TypedDict. `__required_keys__` knows no NotRequired inside a string,
    as annotations are there."""
    return get_type_hints(document, localns={"JsonValue": object}, include_extras=True)


def misfits(value: object, hint: object, place: str = "") -> Iterator[str]:
    """Yield the places of a JSON value that aren't of the type."""
    if isinstance(hint, type) and is_typeddict(hint):
        fields = fields_of(hint)
        needed = {key for key, inner in fields.items() if get_origin(inner) is not NotRequired}
        if not isinstance(value, dict) or needed - value.keys():
            yield place
            return
        for key in fields.keys() & value.keys():
            yield from misfits(value[key], fields[key], f"{place}/{key}")
    elif get_origin(hint) is NotRequired:
        yield from misfits(value, get_args(hint)[0], place)
    elif get_origin(hint) in (Union, types.UnionType):
        if all(list(misfits(value, one)) for one in get_args(hint)):
            yield place
    elif get_origin(hint) is Literal:
        if not any(value == one and type(value) is type(one) for one in get_args(hint)):
            yield place
    elif get_origin(hint) is list:
        for index, item in enumerate(value if isinstance(value, list) else [Ellipsis]):
            yield from misfits(item, get_args(hint)[0], f"{place}/{index}")
    elif get_origin(hint) is dict:
        if not isinstance(value, dict):
            yield place
            return
        for key, item in value.items():
            yield from misfits(item, get_args(hint)[1], f"{place}/{key}")
    elif hint is not object and type(value) not in ((int, float) if hint is float else (hint,)):
        yield place


def test_the_file_is_what_the_schemas_give() -> None:
    assert generate_documents.main(["--check"]) == 0


def test_a_stale_file_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    committed = generate_documents.TARGET.read_text(encoding="utf-8")
    stale = tmp_path / "tools" / "documents.py"
    monkeypatch.setattr(generate_documents, "ROOT", tmp_path)
    monkeypatch.setattr(generate_documents, "TARGET", stale)
    for text in (None, committed.replace("    opset: int\n", "")):
        if text is not None:
            stale.parent.mkdir()
            stale.write_text(text, encoding="utf-8")
        assert generate_documents.main(["--check"]) == 1
        error = capsys.readouterr().err
        assert "tools/documents.py" in error and "npm run contract" in error


def test_a_changed_schema_changes_the_types() -> None:
    schemas = copy.deepcopy(generate_documents.read_schemas())
    before = generate_documents.generate(schemas)
    variant = schemas["manifest"]["$defs"]["variant"]  # type: ignore[index]
    variant["properties"]["tempo"] = {"type": ["integer", "null"], "description": "how fast"}
    after = generate_documents.generate(schemas)
    added = set(after.splitlines()) - set(before.splitlines())
    assert added == {"    tempo: NotRequired[int | None]", '    """How fast."""'}
    variant["required"].append("tempo")
    assert "    tempo: int | None\n" in generate_documents.generate(schemas)


def test_a_keyword_that_the_generator_does_not_know_is_refused() -> None:
    schemas = copy.deepcopy(generate_documents.read_schemas())
    schemas["manifest"]["properties"]["model"]["anyOf"] = []  # type: ignore[index]
    with pytest.raises(generate_documents.SchemaError, match="anyOf"):
        generate_documents.generate(schemas)


@pytest.mark.parametrize("name", VALID)
def test_valid_examples_fit_their_types(name: str) -> None:
    assert list(misfits(VALID[name], TYPES[name.partition("__")[0]])) == []


@pytest.mark.parametrize("invalid", OF_TYPE, ids=lambda i: f"{i.of}: {i.name}")
def test_examples_of_a_wrong_type_do_not_fit(invalid: Invalid) -> None:
    assert list(misfits(invalid.document, TYPES[invalid.schema]))


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("activations.json", ContractTable),
        ("browser_memory.json", BrowserMemory),
        ("limits.json", Limits),
    ],
)
def test_data_files_fit_their_types(name: str, hint: type) -> None:
    """No schema describes these, so their types are written by hand."""
    data = read_json(CONTRACTS / name)
    assert list(misfits(data, hint)) == []
    assert data.keys() == fields_of(hint).keys(), "the type lacks a key of the file"


def test_rules_of_recipes_fit_their_type() -> None:
    """recipe.schema.json says what a rule may hold in three cases, which the type joins."""
    folder = Path(recipe.__file__).parent
    rule = read_json(folder / "recipe.schema.json")["$defs"]["rule"]
    cases = [case["then"] for case in rule["allOf"]]
    said = {key for case in cases for key in case["propertyNames"]["enum"]}
    assert said == fields_of(RuleRecord).keys()
    bundled = list((folder / "bundled").glob("*.json"))
    assert bundled
    for file in bundled:
        for entry in read_json(file)["rules"]:
            assert list(misfits(entry, RuleRecord)) == [], file.name


def test_no_class_of_the_exporter_has_the_name_of_a_document() -> None:
    folder = Path(oriel.__file__).parent
    classes = {
        file: {
            node.name
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            if isinstance(node, ast.ClassDef)
        }
        for file in folder.rglob("*.py")
    }
    documents = classes.pop(folder / "contract" / "documents.py")
    assert [
        (file.name, names & documents) for file, names in classes.items() if names & documents
    ] == []
