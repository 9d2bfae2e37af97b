"""The contract's document of one graph, in the ONNX file's own metadata: so a bare file can be
read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import onnx

from oriel.contract.activation_names import (
    GraphKind,
    ModelShape,
    TensorSpec,
    contract_version,
    input_specs,
)
from oriel.errors import GraphError

METADATA_KEY = "oriel.activations"


def make_document(
    graph: GraphKind, shape: ModelShape, outputs: Iterable[TensorSpec]
) -> dict[str, Any]:
    """A document of activations.schema.json."""
    return {
        "contract_version": contract_version(),
        "graph": graph,
        "model": shape.to_json(),
        "inputs": [spec.to_json() for spec in input_specs(shape, graph)],
        "outputs": [spec.to_json() for spec in outputs],
    }


def write_document(model: onnx.ModelProto, document: Mapping[str, Any]) -> None:
    """Put the document into the model's metadata, in place of an older one."""
    kept = [entry for entry in model.metadata_props if entry.key != METADATA_KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(kept)
    entry = model.metadata_props.add()
    entry.key = METADATA_KEY
    entry.value = json.dumps(document, separators=(",", ":"))


def read_document(model: onnx.ModelProto, name: str) -> dict[str, Any]:
    """The document that a model carries; GraphError where it carries none."""
    for entry in model.metadata_props:
        if entry.key == METADATA_KEY:
            try:
                document = json.loads(entry.value)
            except (json.JSONDecodeError, RecursionError) as error:
                raise GraphError(f"{name} carries a damaged contract document") from error
            if isinstance(document, dict):
                return document
    raise GraphError(
        f"{name} carries no contract document",
        expected=f"metadata {METADATA_KEY}",
        next_step="export it with Oriel first.",
    )
