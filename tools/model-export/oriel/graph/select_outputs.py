"""Choosing a plain graph's outputs anew: any activation of the contract stands inside, under its
name."""

from __future__ import annotations

from collections.abc import Sequence

import onnx

from oriel.contract.activation_contract import check_document
from oriel.contract.activation_names import (
    ModelShape,
    activation_spec,
    cache_output_specs,
    in_terms_of,
)
from oriel.contract.data_files import GraphKind
from oriel.errors import GraphError
from oriel.graph.built_graph import BuiltGraph, set_outputs
from oriel.graph.external_data import check_external_data
from oriel.graph.graph_document import make_document, read_document, write_document
from oriel.graph.taps import add_lens_nodes, drop_lens_nodes


def open_graph(data: bytes, name: str) -> BuiltGraph:
    """A graph of ours from a file's bytes, its document checked; GraphError where it isn't one."""
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except Exception as error:
        raise GraphError(
            f"{name} is not an ONNX file",
            got=f"{len(data)} bytes that don't parse",
            next_step="name the model.onnx of a bundle.",
        ) from error
    document = check_document(read_document(model, name), name)
    check_external_data(model, name)
    return BuiltGraph(model, document)


def select_outputs(graph: BuiltGraph, names: Sequence[str]) -> BuiltGraph:
    """The same graph giving logits and `names`, and, where it has a cache, present.* as before.

    Raises GraphError for a name that the graph doesn't hold.
    """
    kind: GraphKind = graph.document["graph"]
    version = graph.document["contract_version"]
    shape = ModelShape.from_json(graph.document["model"])
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    drop_lens_nodes(model)
    wanted = ["logits", *names]
    specs = []
    for name in wanted:
        spec = activation_spec(name, shape)
        if spec is None:
            raise GraphError("the model has no such activation", got=name)
        specs.append(spec)
    if kind != "plain":
        specs[1:1] = cache_output_specs(shape)
    add_lens_nodes(model.graph, shape, names)
    inside = {output for node in model.graph.node for output in node.output}
    for spec in specs:
        if spec.name not in inside:
            raise GraphError("the graph lacks a tensor of the contract", expected=spec.name)
    specs = [in_terms_of(version, spec) for spec in specs]
    set_outputs(model, specs)
    document = make_document(kind, shape, specs, version=version)
    write_document(model, document)
    return BuiltGraph(model, document)
