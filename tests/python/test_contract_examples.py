"""The schemas accept every valid example and refuse every invalid one, at the place and for the
keyword that invalid.json names; and every rule of a schema has an example that it refuses."""

from __future__ import annotations

import base64
import copy
from collections.abc import Iterator
from functools import cache
from itertools import islice
from typing import Any

import onnx
import pytest
from contract_examples import (
    MODULE_SCHEMAS,
    MODULES,
    SCHEMAS,
    Invalid,
    invalid_documents,
    rules,
    rules_broken,
    valid_documents,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema.exceptions import ValidationError
from thorough import examples

from oriel.contract.activation_contract import check_document, validator
from oriel.contract.dashboards import check_dashboard_index
from oriel.contract.manifest import check_manifest
from oriel.contract.variant_graphs import graphs_of
from oriel.errors import ContractError
from oriel.lessons.read_lesson import check_lesson_document
from oriel.modules.check_metadata import check_metadata
from oriel.pipeline.write_results import check_results
from oriel.proof.check_record import check_record
from oriel.proof.verification_record import check_verification
from oriel.runtime.edit_json import edits_from_json

VALID = {**valid_documents(), **valid_documents(MODULES)}
INVALID = [*invalid_documents(), *invalid_documents(MODULES)]
BROKEN = [invalid for invalid in INVALID if invalid.keyword is not None]
UNSOUND = [invalid for invalid in INVALID if invalid.keyword is None]


def name_of(invalid: Invalid) -> str:
    return f"{invalid.of}: {invalid.name}"


def check(name: str, document: Any) -> None:
    """What Python's readers check: version, schema, and what follows from the sizes."""
    if name.startswith("activations"):
        check_document(document, name)
    elif name.startswith("module_metadata"):
        check_metadata(document, name)
    elif name.startswith("dashboards"):
        check_dashboard_index(document, name)
    elif name.startswith("pipeline"):
        check_results(document, name)
    elif name.startswith("verification"):
        check_verification(document, name)
    elif name.startswith("edits"):
        edits_from_json(document)
    elif name.startswith("lesson"):
        check_lesson_document(document, name)
    elif name.startswith("proof"):
        check_record(document, name)
    else:
        check_manifest(document, name)


@cache
def errors_of(invalid: Invalid) -> list[ValidationError]:
    """All errors of an example; of a long one the first, as thousands of items follow it."""
    errors = validator(invalid.schema).iter_errors(invalid.document)
    return list(islice(errors, 1 if invalid.is_long else None))


@pytest.mark.parametrize("name", VALID)
def test_valid_examples_pass(name: str) -> None:
    check(name, VALID[name])


@pytest.mark.parametrize("name", [n for n in VALID if n.startswith("manifest")])
def test_documents_inside_valid_manifests_pass_by_themselves(name: str) -> None:
    for variant in VALID[name]["variants"]:
        for graph, record in graphs_of(variant).items():
            assert record["activations"]["graph"] == graph
            check_document(record["activations"], graph)


@pytest.mark.parametrize("invalid", BROKEN, ids=name_of)
def test_the_schema_refuses_them_where_and_for_what_is_named(invalid: Invalid) -> None:
    errors = errors_of(invalid)
    found = {("/".join(["", *map(str, e.absolute_path)]), e.validator) for e in errors}
    assert (invalid.at, invalid.keyword) in found
    assert {path for path, _ in found} == {invalid.at}, "it is broken elsewhere too"
    if not invalid.is_long:
        with pytest.raises(ContractError):
            check(invalid.schema, invalid.document)


@pytest.mark.parametrize("invalid", UNSOUND, ids=name_of)
def test_what_no_schema_can_refuse_is_refused(invalid: Invalid) -> None:
    assert validator(invalid.schema).is_valid(invalid.document), "the schema refuses it already"
    with pytest.raises(ContractError):
        check(invalid.schema, invalid.document)


@pytest.mark.parametrize("invalid", INVALID, ids=name_of)
def test_invalid_examples_differ_from_a_valid_one_in_one_place(invalid: Invalid) -> None:
    assert invalid.document != VALID[invalid.of]
    if invalid.keyword is not None:
        assert differences(VALID[invalid.of], invalid.document) == 1


def differences(one: Any, other: Any) -> int:
    """Places that differ; a missing or repeated item of a list counts as one."""
    if type(one) is not type(other):
        return 1
    if isinstance(one, dict):
        changed = sum(differences(one[key], other[key]) for key in one.keys() & other.keys())
        return changed + len(one.keys() ^ other.keys())
    if isinstance(one, list) and len(one) == len(other):
        return sum(map(differences, one, other))
    return int(one != other)


def test_names_are_unique() -> None:
    names = [name_of(invalid) for invalid in INVALID]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("schema", [*SCHEMAS, *MODULE_SCHEMAS])
def test_every_rule_has_an_example_that_must_fail(schema: str) -> None:
    broken: set[tuple[str, ...]] = set()
    for invalid in BROKEN:
        for error in errors_of(invalid):
            for each in with_inner(error):
                broken.update(rules_broken(invalid.schema, each))
    without = sorted("/".join(rule) for rule in rules(schema) - broken)
    assert not without, f"{len(without)} rules of {schema}.schema.json have no invalid example"


def with_inner(error: ValidationError) -> Iterator[ValidationError]:
    """Yield an error and those of the choices that it rejects, one inside another."""
    yield error
    for inner in error.context or ():
        yield from with_inner(inner)


def test_patterns_end_where_the_text_ends() -> None:
    # In ECMA-262, which JSON Schema names, `$` is the end; Python's may stand before a newline.
    for text in ("1.0\n", "1.0\n\n"):
        document = {**VALID["activations__plain.json"], "contract_version": text}
        assert not validator("activations").is_valid(document)


def test_taps_of_the_examples_add_the_outputs_they_name() -> None:
    for variant in VALID["manifest__whole.json"]["variants"]:
        for tap in variant["taps"]:
            addition = onnx.ModelProto.FromString(base64.b64decode(tap["bytes"], validate=True))
            assert [o.name for o in addition.graph.output] == [o["name"] for o in tap["outputs"]]


@pytest.mark.parametrize("version", ["3.0", "0.9", "10.0"])
@pytest.mark.parametrize("name", ["activations__plain.json", "manifest__least.json"])
def test_an_unknown_major_version_is_refused_by_name(name: str, version: str) -> None:
    with pytest.raises(ContractError, match=f"got version {version}"):
        check(name, {**VALID[name], "contract_version": version})


def test_an_unknown_major_version_of_the_manifest_is_refused() -> None:
    with pytest.raises(ContractError, match=r"got version 3\.0"):
        check_manifest({**VALID["manifest__least.json"], "manifest_version": "3.0"})


def test_an_unknown_activation_is_refused_unless_the_version_is_newer() -> None:
    document = copy.deepcopy(VALID["activations__newer_minor.json"])
    check_document(document, "newer")
    document["contract_version"] = "1.0"
    with pytest.raises(ContractError, match="layer_0_streams"):
        check_document(document, "ours")


@pytest.mark.parametrize(
    ("where", "index", "field", "value"),
    [
        ("inputs", 0, "dtype", "float32"),
        ("inputs", 1, "shape", ["batch", 3, "past", 4]),
        ("inputs", 4, "name", "layer_1_resid_delta"),
        ("outputs", 0, "shape", ["batch", "seq", 33]),
        ("outputs", 2, "name", "present.0.key"),
        ("outputs", 2, "name", "layer_0_nothing_known"),
        ("outputs", 2, "name", "layer_1_resid_pre"),
    ],
)
def test_names_and_shapes_must_follow_from_the_sizes(
    where: str, index: int, field: str, value: Any
) -> None:
    document = copy.deepcopy(VALID["activations__interactive.json"])
    document[where][index][field] = value
    with pytest.raises(ContractError):
        check_document(document, "changed")


def test_resid_mid_does_not_exist_in_parallel_blocks() -> None:
    document = copy.deepcopy(VALID["activations__parallel_blocks.json"])
    document["outputs"][2]["name"] = "layer_0_resid_mid"
    with pytest.raises(ContractError, match="layer_0_resid_mid"):
        check_document(document, "parallel")


def test_files_that_are_named_must_be_described_once() -> None:
    missing = copy.deepcopy(VALID["manifest__least.json"])
    del missing["files"][2]
    with pytest.raises(ContractError, match=r"model\.onnx\.data"):
        check_manifest(missing)
    twice = copy.deepcopy(VALID["manifest__least.json"])
    twice["files"].append(twice["files"][0])
    with pytest.raises(ContractError, match="twice"):
        check_manifest(twice)


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=8)
    | st.sampled_from(["logits", "batch", "1.0", "layer_0_attn_probs", "model.onnx", "plain"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=4,
)


@settings(max_examples=examples(400), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_changed_document_passes_or_is_refused_but_never_crashes(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(VALID)))
    document = copy.deepcopy(VALID[name])
    for _ in range(data.draw(st.integers(1, 3))):
        node = document
        while True:
            keys: list[Any] = list(node) if isinstance(node, dict) else list(range(len(node)))
            if not keys:
                break
            key = data.draw(st.sampled_from(keys))
            inside = node[key]
            if isinstance(inside, dict | list) and inside and data.draw(st.integers(0, 3)):
                node = inside
                continue
            change = data.draw(st.sampled_from(["delete", "replace", "round", "swap"]))
            if change == "delete":
                del node[key]
            elif change == "round" and isinstance(inside, int):
                node[key] = float(inside)
            elif change == "swap":
                other = data.draw(st.sampled_from(keys))
                node[key], node[other] = node[other], node[key]
            else:
                node[key] = data.draw(anything)
            break
    try:
        check(name, document)
    except ContractError as error:
        assert "\n" not in str(error)


@given(anything)
def test_any_json_at_all_is_refused_in_one_line(document: Any) -> None:
    for name in (*SCHEMAS, *MODULE_SCHEMAS):
        with pytest.raises(ContractError) as caught:
            check(name, document)
        assert len(str(caught.value).splitlines()) == 1
