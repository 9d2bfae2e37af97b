"""Computes every activation of a variant for a few tokens, as a reference pass stores them."""

from __future__ import annotations

from pathlib import Path

from oriel.arrays import Array
from oriel.contract.activation_names import ModelShape
from oriel.contract.data_files import GraphKind
from oriel.contract.documents import Variant
from oriel.contract.variant_graphs import tapped_graph
from oriel.reference_pass.pass_file import pass_specs
from oriel.runtime.onnx_graph import (
    SPARING,
    Arrays,
    OnnxGraph,
    SessionSettings,
    runtime_errors,
    with_taps,
)
from oriel.runtime.weight_folders import taps_for


def every_activation(
    variant: Variant,
    graph: bytes,
    weights: Path,
    ids: Array,
    settings: SessionSettings = SPARING,
) -> Arrays:
    """Run ids (1, seq) through the graph that takes taps. Return every activation by contract name,
    with logits of the last position. weights: the folder of the graph's data files.

    Raises GraphError if ONNX Runtime fails.
    """
    shape = ModelShape.from_json(tapped_graph(variant)["activations"]["model"])
    names = [spec.name for spec in pass_specs(shape)]
    kind: GraphKind = "open" if "open" in variant else "interactive"
    with runtime_errors(f"{variant['name']} can't be run", "export the bundle again."):
        tapped = with_taps(graph, taps_for(variant, names))
        return OnnxGraph(weights, tapped, kind, shape, settings=settings).run(ids, names, rows=1)
