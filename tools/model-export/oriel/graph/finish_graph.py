"""The last touches on a graph: inputs and outputs in the contract's order, nothing that a reader
skips."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes import common as passes

from oriel.contract.activation_names import (
    ModelShape,
    TensorSpec,
    all_activations,
    cache_output_specs,
    input_specs,
)


def describe(value: ir.Value, spec: TensorSpec) -> None:
    value.name = spec.name
    value.dtype = ir.DataType.INT64 if spec.dtype == "int64" else ir.DataType.FLOAT
    value.shape = ir.Shape(spec.shape)


def finish(model: ir.Model, shape: ModelShape) -> None:
    """Order inputs and outputs as the contract does, give outputs their shapes, and drop the
    exporter's notes."""
    graph = model.graph
    by_name = {value.name: value for value in graph.outputs}
    specs = [s for s in [*all_activations(shape), *cache_output_specs(shape)] if s.name in by_name]
    graph.outputs.clear()
    for spec in specs:
        describe(by_name[spec.name], spec)
        graph.outputs.append(by_name[spec.name])
    order = {spec.name: at for at, spec in enumerate(input_specs(shape, "decoder"))}
    # Inputs of repeated layers stand behind the parameters until now.
    inputs = sorted(graph.inputs, key=lambda value: order.get(value.name or "", len(order)))
    graph.inputs.clear()
    graph.inputs.extend(inputs)
    keep = {value.name for value in [*graph.inputs, *graph.outputs]}
    passes.ClearMetadataAndDocStringPass()(model)
    graph.sort()
    for index, node in enumerate(graph):
        node.name = f"{node.op_type}_{index}"
        for value in node.outputs:
            if value.name not in keep:
                value.shape = None
                value.type = None
