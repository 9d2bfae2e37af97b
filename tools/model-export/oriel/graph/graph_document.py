"""The contract's document of one graph and the record of its model, kept in the ONNX file's own
metadata, so that the file can be read on its own."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

import onnx

from oriel.contract.activation_names import (
    ModelShape,
    TensorSpec,
    contract_version,
    in_terms_of,
    input_specs,
)
from oriel.contract.data_files import GraphKind
from oriel.contract.documents import ActivationsDocument, ModelRecord
from oriel.contract.json_value import JsonObject, JsonValue
from oriel.contract.strict_json import read_json
from oriel.errors import ContractError, GraphError

METADATA_KEY = "oriel.activations"
MODEL_KEY = "oriel.model"
"""Key of the manifest's `model`: its name, its end token, and the origin of its weights."""


def make_document(
    graph: GraphKind,
    shape: ModelShape,
    outputs: Iterable[TensorSpec],
    joints: Iterable[TensorSpec] = (),
    version: str | None = None,
    cache_length: int | None = None,
) -> ActivationsDocument:
    """Return a document that is valid by activations.schema.json.

    version: contract version whose terms the outputs use; None for the newest. cache_length: slots
    of a static graph's cache, in tokens.
    """
    written = version or contract_version()
    document: ActivationsDocument = {
        "contract_version": written,
        "graph": graph,
        "model": shape.to_json(),
        "inputs": [in_terms_of(written, s).to_json() for s in input_specs(shape, graph)],
        "outputs": [spec.to_json() for spec in outputs],
    }
    if cache_length is not None:
        document["cache_length"] = cache_length
    if graph in ("open", "static"):
        document["joints"] = [spec.to_json() for spec in joints]
    return document


def write_document(model: onnx.ModelProto, document: ActivationsDocument) -> None:
    """Put the document into the model's metadata, in place of an older one."""
    _write(model, METADATA_KEY, document)


def write_model_record(model: onnx.ModelProto, record: ModelRecord) -> None:
    """Put the manifest's record of the model into the metadata, in place of an older one."""
    _write(model, MODEL_KEY, record)


def _write(model: onnx.ModelProto, key: str, value: Mapping[str, object]) -> None:
    kept = [entry for entry in model.metadata_props if entry.key != key]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    entry = model.metadata_props.add()
    entry.key = key
    entry.value = json.dumps(value, separators=(",", ":"))


def read_model_record(model: onnx.ModelProto) -> JsonValue:
    """Return the record that a model carries, unchecked; None where it has none, as in older
    files."""
    for entry in model.metadata_props:
        if entry.key == MODEL_KEY:
            try:
                return read_json(entry.value, "its metadata")
            except ContractError:
                return str(entry.value)
    return None


def read_document(model: onnx.ModelProto, name: str) -> JsonObject:
    """Return the document that a model carries, unchecked. Raises GraphError where it carries none,
    or several."""
    carried = [entry.value for entry in model.metadata_props if entry.key == METADATA_KEY]
    if len(carried) > 1:
        raise GraphError(f"{name} carries several contract documents", next_step="export it again.")
    if carried:
        try:
            document = read_json(carried[0], "its metadata")
        except ContractError as error:
            raise GraphError(
                f"{name} carries a damaged contract document",
                got=error.got,
                next_step="export it again.",
            ) from error
        if isinstance(document, dict):
            return document
    raise GraphError(
        f"{name} carries no contract document",
        expected=f"metadata {METADATA_KEY}",
        next_step="export it with Oriel first.",
    )
