"""The graphs of a bundle as ModelProtos, over one weights file, with their taps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import onnx
import onnx_ir as ir
from onnx import helper

import oriel
from oriel.contract.activation_names import (
    ModelShape,
    TensorSpec,
    activation_spec,
    cache_output_specs,
)
from oriel.contract.data_files import GraphKind
from oriel.errors import OrielError
from oriel.graph.attach_weights import WeightLayout, attach_weights
from oriel.graph.attribution import AttributionTaps, attribution_taps
from oriel.graph.built_graph import BuiltGraph, set_outputs
from oriel.graph.finish_graph import finish
from oriel.graph.graph_document import make_document, write_document
from oriel.graph.logits_rows import give_default, slice_logits
from oriel.graph.open_joints import open_joints
from oriel.graph.taps import Tap, add_lens_nodes, make_taps

if TYPE_CHECKING:
    # For its type alone: choosing outputs of a finished graph needs no torch.
    from oriel.graph.export_onnx import TracedGraph

PRODUCER = "oriel"


@dataclass(frozen=True)
class BuiltGraphs:
    """The graphs of a variant, their taps, and where the weights lie."""

    plain: BuiltGraph
    decoder: BuiltGraph
    open: BuiltGraph
    taps: tuple[Tap, ...]
    attribution: AttributionTaps | None
    """Attribution taps; None for a model whose stream is not the sum of its parts."""
    layout: WeightLayout

    @staticmethod
    def of(
        plain: BuiltGraph, decoder: BuiltGraph, shape: ModelShape, layout: WeightLayout
    ) -> BuiltGraphs:
        """Return these two with the open graph and the taps, which follow from the decoder."""
        taps = tuple(make_taps(decoder.model.graph, shape))
        opened = open_joints(decoder, shape)
        return BuiltGraphs(plain, decoder, opened, taps, _attribution(opened, shape), layout)


def _attribution(opened: BuiltGraph, shape: ModelShape) -> AttributionTaps | None:
    try:
        return attribution_taps(opened.model.graph, shape)
    except OrielError:
        # The model can still be exported, without attribution.
        return None


def build_graphs(
    traced: TracedGraph,
    shape: ModelShape,
    layout: WeightLayout,
    outputs: Sequence[str],
    weights_file: str,
    on_stage: Callable[[str], None] = lambda _: None,
) -> BuiltGraphs:
    """outputs: contract names that plain and decoder graph give besides logits.

    layout: of the weights file, which must hold all parameters that the graph reads, and no more.
    """
    placed = {weight.name for weight in layout.weights}
    assert placed == set(traced.parameters), "the trace reads other parameters"
    plain, decoder = traced.plain, traced.decoder
    slice_logits(decoder, shape)
    protos: dict[str, onnx.ModelProto] = {}
    for kind, model in (("plain", plain), ("decoder", decoder)):
        finish(model, shape)
        attach_weights(model, layout, weights_file)
        protos[kind] = ir.serde.serialize_model(model)
        add_lens_nodes(protos[kind].graph, shape, outputs)
    give_default(protos["decoder"])
    chosen = [activation_spec(name, shape) for name in ["logits", *outputs]]
    specs = [spec for spec in chosen if spec is not None]
    cached = [*specs[:1], *cache_output_specs(shape), *specs[1:]]
    on_stage("open the joints")
    return BuiltGraphs.of(
        _with_outputs(protos["plain"], "plain", shape, specs),
        _with_outputs(protos["decoder"], "decoder", shape, cached),
        shape,
        layout,
    )


def _with_outputs(
    model: onnx.ModelProto, kind: GraphKind, shape: ModelShape, specs: Sequence[TensorSpec]
) -> BuiltGraph:
    set_outputs(model, specs)
    model.producer_name, model.producer_version = PRODUCER, oriel.__version__
    # A runtime refuses a newer one than it knows, whatever the operators.
    model.ir_version = helper.find_min_ir_version_for(list(model.opset_import), True)
    model.graph.name = f"oriel_{kind}"
    document = make_document(kind, shape, specs)
    write_document(model, document)
    return BuiltGraph(model, document)
