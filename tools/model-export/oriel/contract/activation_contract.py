"""Checks of documents against the JSON Schemas of contracts/, with one clear line for what is
wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from types import MappingProxyType
from typing import cast

from jsonschema import Draft202012Validator, validators
from jsonschema.exceptions import ValidationError, best_match
from referencing import Registry, Resource

from oriel.contract.activation_names import (
    ModelShape,
    TensorSpec,
    activation_spec,
    cache_output_specs,
    contract_table,
    contract_version,
    contracts_folder,
    in_terms_of,
    input_specs,
    joint_specs,
    newest_version,
    parse_name,
)
from oriel.contract.data_files import GraphKind
from oriel.contract.documents import ActivationsDocument, TensorSpecRecord
from oriel.contract.json_value import JsonObject
from oriel.errors import ContractError


@cache
def read_schema(name: str) -> JsonObject:
    """Return a schema of contracts/ as it is written. name: one of SCHEMAS."""
    text = (contracts_folder() / f"{name}.schema.json").read_text(encoding="utf-8")
    loaded: JsonObject = json.loads(text)
    return loaded


def _pattern(_: object, pattern: str, instance: object, __: object) -> Iterator[ValidationError]:
    """Check `pattern` as ECMA-262 defines it: `$` is the end, and not the place before a last line
    break."""
    if isinstance(instance, str) and not re.search(pattern.replace("$", r"\Z"), instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def _items(
    validator: Draft202012Validator,
    items: JsonObject,
    instance: object,
    schema: Mapping[str, int],
) -> Iterator[ValidationError]:
    """Check the `items` of a list that isn't too long: `maxItems` has refused any other already."""
    if isinstance(instance, list) and len(instance) <= schema.get("maxItems", len(instance)):
        for index, item in enumerate(instance):
            yield from validator.descend(item, items, path=index)


_Validator = validators.extend(  # type: ignore[no-untyped-call]
    Draft202012Validator, {"pattern": _pattern, "items": _items}
)
SCHEMAS = (
    "activations",
    "edits",
    "lesson",
    "manifest",
    "module_metadata",
    "proof",
    "verification",
    "pipeline",
    "dashboards",
)
"""Names of the schemas of contracts/."""
_MAX_ERRORS = 32
"""Number of errors among which the most telling one is chosen."""


@cache
def validator(name: str) -> Draft202012Validator:
    """The validator of contracts/{name}.schema.json; name is one of `SCHEMAS`, and what follows a #
    in it is a JSON pointer to a part of that schema."""
    name, _, pointer = name.partition("#")
    resources = [Resource.from_contents(read_schema(n)) for n in SCHEMAS]
    registry = Registry().with_resources((r.id() or "", r) for r in resources)
    schema = read_schema(name)
    if pointer:
        schema = {"$ref": f"{schema['$id']}#{pointer}"}
    made: Draft202012Validator = _Validator(schema, registry=registry)
    return made


def check_major(data: object, version: tuple[str, str], what: str, next_step: str) -> None:
    """Raise ContractError for a document of another major version. version: the entry of the
    document that has it, and the major that this Oriel reads."""
    key, major = version
    found = data.get(key) if isinstance(data, dict) else None
    if isinstance(found, str) and found.partition(".")[0] != major:
        raise ContractError(
            f"{what} is of another version",
            got=found[:32],
            expected=f"{major}.x",
            next_step=next_step,
        )


def check_schema(name: str, document: object, what: str) -> None:
    """Raise ContractError, naming the place, where the document breaks its schema."""
    problem = schema_problem(name, document)
    if problem is not None:
        raise ContractError(
            f"{what} doesn't keep contracts/{name.partition('#')[0]}.schema.json",
            got=problem,
            next_step="export it again.",
        )


def schema_problem(name: str, document: object) -> str | None:
    """Return where and how the document breaks its schema most tellingly; None where it keeps
    it."""
    error = best_match(islice(validator(name).iter_errors(document), _MAX_ERRORS))
    if error is None:
        return None
    place = "/".join(str(part) for part in error.absolute_path) or "the top"
    return f"at {place[:200]}: {error.message[:200]}"


def check_version(version: str, what: str) -> None:
    """Raise ContractError for an unknown major version; a newer minor version is accepted."""
    if newest_version(version.partition(".")[0]) is None:
        ours, earlier = contract_version(), contract_table()["earlier"]["version"]
        known = " or ".join(f"{v.partition('.')[0]}.x" for v in (ours, earlier))
        raise ContractError(
            f"{what} keeps another contract",
            got=f"version {version[:32]}",
            expected=known,
            next_step="export it again, or use the Oriel that wrote it.",
        )


def check_document(document: object, what: str) -> ActivationsDocument:
    """Return a graph's document after checking its version, its schema, and the rules that no
    schema can express: names and shapes that follow from the model's sizes."""
    version = document.get("contract_version") if isinstance(document, Mapping) else None
    if isinstance(version, str):
        check_version(version, what)
    check_schema("activations", document, what)
    checked = cast(ActivationsDocument, document)
    check_ports(checked, what)
    return checked


def check_ports(document: ActivationsDocument, what: str) -> None:
    """Check the inputs and outputs of a document whose version and schema were checked already."""
    shape = ModelShape.from_json(document["model"])
    version, graph = document["contract_version"], document["graph"]
    problem = unsound_shape(shape, graph)
    if problem is not None:
        raise ContractError(
            f"{what}: the model's sizes contradict each other",
            got=problem,
            next_step="export it again.",
        )
    cache_length = int(document.get("cache_length", 0))
    if cache_length > shape.context_length:
        raise ContractError(
            f"{what}: its cache is longer than the model's context",
            got=f"{cache_length} tokens",
            expected=f"at most {shape.context_length}",
            next_step="export it again.",
        )
    expected = {s.name: in_terms_of(version, s) for s in input_specs(shape, graph)}
    given = {t["name"]: TensorSpec.from_json(t) for t in document["inputs"]}
    if len(given) != len(document["inputs"]):
        raise ContractError(f"{what}: an input stands twice", next_step="export it again.")
    _same_ports(given, expected, f"{what}: inputs")
    cache_specs: dict[str, TensorSpec] = {}
    if graph != "plain":
        cache_specs = {s.name: in_terms_of(version, s) for s in cache_output_specs(shape)}
    seen = check_output_specs(document["outputs"], shape, version, what, cache_specs)
    for name in cache_specs:
        if name not in seen:
            raise ContractError(f"{what}: no output {name}", next_step="export it again.")
    if "joints" in document:
        _check_joints(document["joints"], shape, version, what)


def _check_joints(
    joints: Sequence[TensorSpecRecord], shape: ModelShape, version: str, what: str
) -> None:
    """Check that an open graph has the joints of the table; a newer minor may have more."""
    found = check_output_specs(joints, shape, version, f"{what}: joints")
    wanted = {spec.name for spec in joint_specs(shape)}
    wrong = wanted - found if _is_newer(version) else wanted ^ found
    if wrong:
        raise ContractError(
            f"{what}: its joints don't follow from the model's sizes",
            got=f"{min(wrong)} {'missing' if min(wrong) in wanted else 'among them'}",
            next_step="export it again.",
        )


def unsound_shape(shape: ModelShape, graph: GraphKind) -> str | None:
    """Return what is wrong with a model's sizes that keep their schema, or None."""
    if shape.layer_sizes and len(shape.layer_sizes) != shape.layers:
        return f"layer_sizes for {len(shape.layer_sizes)} of {shape.layers} layers"
    if shape.bidirectional and graph in ("static", "interactive"):
        return f"a {graph} graph, which has a cache, of a bidirectional model"
    if shape.pooled and not shape.labels:
        return "logits of whole texts, over no labels"
    # One entry is enough where all layers are the same.
    for layer in range(len(shape.layer_sizes) or 1):
        at = shape.at(layer)
        if at.experts and not 1 <= (at.active_experts or 0) <= at.experts:
            return f"{at.active_experts or 'no'} active_experts of {at.experts} experts"
    return None


def check_output_specs(
    outputs: Sequence[TensorSpecRecord],
    shape: ModelShape,
    version: str,
    what: str,
    cache_specs: Mapping[str, TensorSpec] = MappingProxyType({}),
) -> set[str]:
    """Return the outputs' names; ContractError where one doesn't follow from the model's sizes, or
    occurs twice.

    outputs: tensors that are valid by their schema. version: that of their contract; one newer than
    ours may have activations that are unknown here.
    """
    seen: set[str] = set()
    newer = _is_newer(version)
    for item in outputs:
        spec = TensorSpec.from_json(item)
        known = activation_spec(spec.name, shape)
        wanted = cache_specs.get(spec.name) or (known and in_terms_of(version, known))
        unknown = spec.name.startswith("layer_") and parse_name(spec.name) is None
        if spec.name in seen or (spec != wanted and not (newer and unknown)):
            raise ContractError(
                f"{what}: an output that the contract doesn't know in this form",
                got=f"{spec.name} {spec.dtype} {list(spec.shape)}",
                expected=_described(wanted),
                next_step="export it again.",
            )
        seen.add(spec.name)
    return seen


def _is_newer(version: str) -> bool:
    """Return True for a minor version of a known major that is newer than the one known."""
    major, _, minor = version.partition(".")
    known = newest_version(major)
    return known is not None and int(minor) > int(known.partition(".")[2])


def _described(spec: TensorSpec | None) -> str:
    return f"{spec.name} {spec.dtype} {list(spec.shape)}, once" if spec else "a name of the table"


def _same_ports(
    given: Mapping[str, TensorSpec], expected: Mapping[str, TensorSpec], what: str
) -> None:
    for name in [*expected, *given]:
        if given.get(name) != expected.get(name):
            raise ContractError(
                f"{what} don't follow from the model's sizes",
                got=_described(given.get(name)) if name in given else f"no {name}",
                expected=_described(expected.get(name)),
                next_step="export it again.",
            )
