"""The last steps on an ONNX graph, whatever wrote it: names, sizes, the structure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oriel.errors import GraphError
from oriel.formats.format import FlatCall, WriteOptions

if TYPE_CHECKING:
    import onnx

STRUCTURE = "oriel.structure"
"""The key of the file's metadata that tells what the flat names stand for."""


def finish_graph(call: FlatCall, model: onnx.ModelProto, options: WriteOptions) -> None:
    """Check a graph's names and its opset, and put the structure into it. Raises GraphError."""
    wanted = (list(call.input_names), list(call.output_names))
    found = ([v.name for v in model.graph.input], [v.name for v in model.graph.output])
    if found != wanted:
        lost = [name for name in wanted[0] if name not in found[0]]
        raise GraphError(
            "the exporter changed the graph's inputs and outputs",
            got=f"no input {', '.join(lost)}: the module doesn't use it"
            if lost
            else f"{found[0]} and {found[1]}",
            expected=f"{wanted[0]} and {wanted[1]}",
        )
    opset = opset_of(model)
    if options.opset is not None and opset != options.opset:
        raise GraphError(
            "the exporter wrote another opset", got=str(opset), expected=str(options.opset)
        )
    _name_sizes(model, call)
    _forget_sources(model)
    entry = model.metadata_props.add()
    entry.key, entry.value = STRUCTURE, options.structure


def _name_sizes(model: onnx.ModelProto, call: FlatCall) -> None:
    """Give the dynamic sizes of inputs and outputs their names: dynamo has others for sums."""
    values = [*model.graph.input, *model.graph.output]
    for value, axes in zip(values, [*call.axes, *call.output_axes], strict=True):
        sizes = value.type.tensor_type.shape.dim
        for axis, name in axes.items():
            if axis < len(sizes) and not sizes[axis].HasField("dim_value"):
                sizes[axis].dim_param = name


def _forget_sources(model: onnx.ModelProto) -> None:
    """Remove the traces of the caller's source code, with its paths, that dynamo puts at every
    node: they weigh more than the graph."""
    for graph in (model.graph, *model.functions):
        for node in graph.node:
            node.ClearField("metadata_props")
            node.ClearField("doc_string")


def opset_of(model: onnx.ModelProto) -> int | None:
    """Return the opset of a graph's own operators."""
    found = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    return max(found, default=None)
