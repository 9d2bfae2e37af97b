"""Checks of a manifest's dictionaries that no schema can express: each belongs to the model, fits
its sizes, has a file of its own that is named by its digest, and a tap for every variant. Names and
tensors of dictionaries stand here too. The same rules in TypeScript:
apps/web/src/contract/validate_dictionaries.ts."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from math import prod
from typing import cast

from oriel.contract.activation_contract import read_schema
from oriel.contract.activation_names import ModelShape, TensorSpec, kinds
from oriel.contract.documents import (
    DictionaryActivation,
    DictionaryDescription,
    DictionaryRecord,
    FileDescriptor,
    ManifestDocument,
)
from oriel.contract.json_value import JsonObject
from oriel.contract.tap_bytes import DictionaryFile, TapError, check_dictionary_tap
from oriel.contract.variant_graphs import paths_read_by
from oriel.errors import ContractError

_FEATURES = "features_"
_NEXT_STEP = "add the dictionary again: oriel add-dictionary."
ENCODER = ("encoder_weight", "encoder_bias", "threshold")
"""The tensors that features are computed with; threshold only with jumprelu."""


def features_name(name: str) -> str:
    """Return the output that holds a dictionary's features."""
    return f"{_FEATURES}{name}"


def is_features(kind: str) -> bool:
    """Return whether a kind of units is the features of a dictionary."""
    return kind.startswith(_FEATURES)


def dictionary_path(digest: str) -> str:
    """Return the name of a dictionary's file in a bundle. digest: "sha256:" and 64 hexadecimal
    digits."""
    return f"dictionary_{digest.removeprefix('sha256:')}.safetensors"


@cache
def most_dictionaries() -> int:
    """Return the maximum number of dictionaries in a bundle, by the manifest's schema."""
    properties = cast(JsonObject, read_schema("manifest")["properties"])
    return int(cast(int, cast(JsonObject, properties["dictionaries"])["maxItems"]))


def features_spec(name: str, features: int) -> TensorSpec:
    """Return the specification of a dictionary's features, (batch, seq, features)."""
    return TensorSpec(
        features_name(name), "float32", ("batch_size", "sequence_length", int(features))
    )


def row_spec(activation: DictionaryActivation, shape: ModelShape) -> TensorSpec | None:
    """Return the specification of an activation that a dictionary reads or writes; None where the
    model doesn't have it."""
    kind, layer = kinds()[activation["kind"]], int(activation["layer"])
    if layer >= shape.layers or not kind.present_in(shape, layer):
        return None
    return kind.spec(shape, layer)


def row_width(spec: TensorSpec) -> int:
    """Return the width of an activation's row at one token, all heads together."""
    return prod(size for size in spec.shape if isinstance(size, int))


def tensor_shapes(
    description: DictionaryDescription, shape: ModelShape
) -> dict[str, tuple[int, ...]]:
    """Return {name: shape} of the tensors that a dictionary's file must have. Both activations must
    be the model's."""
    reads, writes = (row_spec(description[part], shape) for part in ("reads", "writes"))
    assert reads is not None and writes is not None
    features = int(description["features"])
    shapes: dict[str, tuple[int, ...]] = {
        "encoder_weight": (row_width(reads), features),
        "encoder_bias": (features,),
        "decoder_weight": (features, row_width(writes)),
        "decoder_bias": (row_width(writes),),
    }
    if description["activation"] == "jumprelu":
        shapes["threshold"] = (features,)
    return shapes


def description_problem(description: DictionaryDescription, shape: ModelShape) -> str | None:
    """Return what contradicts itself or the model's sizes in a description that is valid by its
    schema, or None."""
    for part in ("reads", "writes"):
        activation = description[part]
        if row_spec(activation, shape) is None:
            return (
                f"it {part} {activation['kind']} of layer {int(activation['layer'])}, which the "
                "model doesn't have"
            )
    same = all(description["reads"][key] == description["writes"][key] for key in ("kind", "layer"))
    if description["kind"] == "sae" and not same:
        return "it is an SAE that writes another activation than it reads"
    if (description["activation"] == "topk") != ("k" in description):
        return "it has a k without topk, or topk without a k"
    if description.get("k", 1) > description["features"]:
        return f"its k is over its {int(description['features'])} features"
    return None


def check_dictionaries(manifest: ManifestDocument, what: str) -> None:
    """Check the dictionaries of a manifest that is already valid by its schema. Raises
    ContractError."""
    files = {file["path"]: file for file in manifest["files"]}
    taken = {path.lower() for variant in manifest["variants"] for path in paths_read_by(variant)}
    names: set[str] = set()
    for record in manifest.get("dictionaries", ()):
        where = f"{what}: dictionary {record['name']}"
        if record["name"] in names:
            raise _unsound(f"two dictionaries of {what} are called {record['name']}")
        names.add(record["name"])
        if record["path"].lower() in taken:
            raise _unsound(f"{where}: its file is another dictionary's or a variant's as well")
        taken.add(record["path"].lower())
        _check_record(record, manifest, files, where)


def _check_record(
    record: DictionaryRecord,
    manifest: ManifestDocument,
    files: Mapping[str, FileDescriptor],
    where: str,
) -> None:
    description, wanted = record["description"], manifest["model"]["weights_digest"]
    shape = ModelShape.from_json(manifest["model"]["shape"])
    if description["weights"] != wanted:
        raise ContractError(
            f"{where} belongs to another model",
            got=description["weights"][:23],
            expected=wanted[:23],
            next_step="train one for this model: oriel train-dictionary.",
        )
    problem = description_problem(description, shape)
    if problem is not None:
        raise _unsound(f"{where}: {problem}")
    if record["taps"].keys() != {variant["name"] for variant in manifest["variants"]}:
        raise _unsound(f"{where} has taps for other variants than there are")
    file = files.get(record["path"])
    if file is None:
        raise ContractError(f"the manifest names {record['path']} but doesn't describe it")
    if record["path"] != dictionary_path(file["digest"]):
        raise _unsound(f"{where}: its file is not named by its digest")
    _check_taps(record, int(file["bytes"]), shape, where)


def _check_taps(record: DictionaryRecord, size: int, shape: ModelShape, where: str) -> None:
    description = record["description"]
    reads = row_spec(description["reads"], shape)
    assert reads is not None
    output = features_spec(record["name"], description["features"])
    shapes = tensor_shapes(description, shape)
    tensors = {f"{output.name}/{part}": shapes[part] for part in ENCODER if part in shapes}
    held = DictionaryFile(record["path"], size, tensors, reads.name)
    for variant, tap in record["taps"].items():
        if [TensorSpec.from_json(each) for each in tap["outputs"]] != [output]:
            raise _unsound(f"{where}, {variant}: its tap doesn't give {output.name} alone")
        try:
            check_dictionary_tap(tap, held)
        except TapError as error:
            raise ContractError(
                f"{where}, {variant}: its tap is unsound", got=str(error), next_step=_NEXT_STEP
            ) from error


def _unsound(why: str) -> ContractError:
    return ContractError(why, next_step=_NEXT_STEP)
