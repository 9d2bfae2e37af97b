"""ONNX of a module whose layers are alike: two of them are traced, without weights, and the second
is repeated. Weights flow from the module into the file one at a time."""

from __future__ import annotations

import math
from collections.abc import Container, Iterator, Mapping, MutableSequence, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from oriel.errors import GraphError, first_few
from oriel.formats.finish_onnx import finish_graph
from oriel.formats.format import FlatCall, LayeredCall, WriteOptions, quiet_exporters
from oriel.formats.pt2_file import dynamic_shapes
from oriel.formats.single_onnx_file import (
    MAX_ONE_FILE,
    StoredWeight,
    write_with_weights,
    write_with_weights_beside,
)
from oriel.resting_collector import uncollected
from oriel.tracing.kept_graphs import kept_graph, read_kept, write_kept
from oriel.tracing.layers import LayersDiffer, is_stream

if TYPE_CHECKING:
    import onnx_ir as ir
    import torch
    from torch import Tensor

REPEATED = "dynamo, two layers repeated"
"""The name of this way."""
_SOURCES = ("capture", "formats", "modules", "tracing")
"""Folders of this package whose code decides the graph."""
_AT_ONCE = 1 << 22
"""Values of a weight that are turned and written at once."""


def write_repeated(call: FlatCall, file: Path, options: WriteOptions) -> Sequence[str]:
    """Write the file. Raises GraphError where the layers aren't alike."""
    import onnx_ir as ir

    assert call.layered is not None
    tensors = _named_tensors(call.module)
    try:
        model = _repeated(call.layered(), options.opset)
        weights = _take_weights(call, model, tensors)
    except LayersDiffer as difference:
        raise GraphError(
            "the layers aren't alike", got=str(difference), expected="layers that can be repeated"
        ) from difference
    proto = ir.to_proto(model)
    finish_graph(call, proto, options)
    inside = sum(weight.size for weight in weights) <= MAX_ONE_FILE
    (write_with_weights if inside else write_with_weights_beside)(file, proto, weights)
    return ()


def _take_weights(
    call: FlatCall, model: ir.Model, tensors: Mapping[str, Tensor]
) -> list[StoredWeight]:
    """Leave the call's own inputs and outputs to a graph, and return the weights that it reads, to
    be written as initializers. Raises LayersDiffer where it has others."""
    from onnx_ir.passes import common as passes

    graph = model.graph
    streams = [name for name in (v.name or "" for v in graph.outputs) if is_stream(name)]
    _keep(graph.outputs, call.output_names, streams)
    passes.IdentityEliminationPass()(model)
    passes.RemoveUnusedNodesPass()(model)
    names = _one_input_each(graph, tensors)
    turned = _turned_weights(graph, tensors)
    _keep(graph.inputs, call.input_names, tensors)
    return [_stored(name, tensors[name], name in turned) for name in names]


def _named_tensors(module: torch.nn.Module) -> dict[str, Tensor]:
    named = dict(module.named_buffers(remove_duplicate=False))
    return named | dict(module.named_parameters(remove_duplicate=False))


def _repeated(layered: LayeredCall, opset: int | None) -> ir.Model:
    """Return the graph of all layers, whose weights are inputs, kept from an earlier export or
    traced."""
    import onnx
    import onnx_ir as ir

    from oriel.tracing.repeat_layers import repeat_layers

    place = _place(layered, opset)
    packed = None if place is None else read_kept(place)
    if packed is None:
        traced = trace_layers(layered, opset)
        repeat_layers(traced, layered.blocks, layered.layers)
        packed = ir.to_proto(traced).SerializeToString(deterministic=True)
        if place is not None:
            with suppress(OSError):
                write_kept(place, packed)
    model: ir.Model = ir.from_proto(onnx.ModelProto.FromString(packed))
    return model


def _place(layered: LayeredCall, opset: int | None) -> Path | None:
    if layered.kept_under is None:
        return None
    call = layered.call
    decides = {
        **layered.kept_under,
        "opset": opset,
        "layers": layered.layers,
        "inputs": [
            (name, list(tensor.shape), str(tensor.dtype), sorted(axes.items()))
            for name, tensor, axes in zip(call.input_names, call.inputs, call.axes, strict=True)
        ],
        "outputs": list(call.output_names),
        "largest": dict(call.largest),
    }
    return kept_graph(decides, _SOURCES)


def trace_layers(layered: LayeredCall, opset: int | None) -> ir.Model:
    """Return the graph of the layers that a call has, with its weights as inputs."""
    import torch

    from oriel.tracing.output_names import name_outputs
    from oriel.tracing.parameter_inputs import parameters_to_inputs

    call = layered.call
    with torch.no_grad(), quiet_exporters(), uncollected():
        exported = torch.onnx.export(
            call.module,
            tuple(call.inputs),
            dynamo=True,
            dynamic_shapes=dynamic_shapes(call),
            input_names=list(call.input_names),
            opset_version=opset,
            optimize=False,
            verbose=False,
        )
        assert exported is not None
        model: ir.Model = exported.model
        name_outputs(model, call.output_names)
        parameters_to_inputs(model, {name: name for name in _unset(layered)})
        exported.optimize()
    return exported.model


def _unset(layered: LayeredCall) -> Iterator[str]:
    """Yield the names of the weights, and of the layers' buffers, which differ from layer to
    layer as weights do."""
    module = layered.call.module
    yield from (name for name, _ in module.named_parameters(remove_duplicate=False))
    for name, _ in module.named_buffers(remove_duplicate=False):
        if name.startswith(f"{layered.blocks}."):
            yield name


def _turned_weights(graph: ir.Graph, tensors: Mapping[str, Tensor]) -> set[str]:
    """Take out the Transpose behind each matrix that nothing else reads, and return their names:
    they are written turned."""
    turned: set[str] = set()
    for value in graph.inputs:
        uses = [use.node for use in value.uses()]
        name = value.name or ""
        if name not in tensors or not uses or tensors[name].dim() != 2:
            continue
        if all(_is_transpose(node) for node in uses):
            for node in uses:
                for reader, index in list(node.outputs[0].uses()):
                    reader.replace_input_with(index, value)
                graph.remove(node)
            value.shape = None if value.shape is None else type(value.shape)(value.shape[::-1])
            turned.add(name)
    return turned


def _is_transpose(node: ir.Node) -> bool:
    perm = node.attributes.get("perm")
    of_two = perm is None or list(perm.as_ints()) == [1, 0]
    return node.op_type == "Transpose" and of_two and not node.outputs[0].is_graph_output()


def _one_input_each(graph: ir.Graph, tensors: Mapping[str, Tensor]) -> list[str]:
    """Return the names of the weights that a graph reads, in the module's order, each tensor under
    one name. Raises LayersDiffer for a weight that isn't the module's."""
    first: dict[int, ir.Value] = {}
    read = []
    for value in [value for value in graph.inputs if value.name in tensors and value.uses()]:
        tensor = tensors[value.name or ""]
        known = first.setdefault(id(tensor), value)
        if known is not value:
            for node, index in list(value.uses()):
                node.replace_input_with(index, known)
            continue
        if value.shape is not None and list(value.shape) != list(tensor.shape):
            raise LayersDiffer(f"{value.name} is {list(tensor.shape)}, not {list(value.shape)}")
        read.append(value.name)
    return [name for name in tensors if name in read]


def _keep(values: MutableSequence[ir.Value], names: Sequence[str], beside: Container[str]) -> None:
    """Leave the inputs or outputs of these names, in this order. Raises LayersDiffer where one is
    missing, or there is one that is none of those `beside` them."""
    found = {value.name or "": value for value in values}
    missing = [name for name in names if name not in found]
    other = [name for name in found if name not in names and name not in beside]
    if missing or other:
        raise LayersDiffer(f"no {first_few(missing)}" if missing else f"also {first_few(other)}")
    values.clear()
    values.extend(found[name] for name in names)


def _stored(name: str, tensor: Tensor, turned: bool) -> StoredWeight:
    import onnx
    from onnx_ir.tensor_adapters import from_torch_dtype

    written = tensor.detach().t() if turned else tensor.detach()
    proto = onnx.TensorProto(
        name=name, dims=list(written.shape), data_type=from_torch_dtype(tensor.dtype)
    )
    return StoredWeight(proto, tensor.numel() * tensor.element_size(), partial(_parts, written))


def _parts(tensor: Tensor) -> Iterator[memoryview]:
    """Yield a tensor's values, row-major, some rows at a time."""
    import torch

    rows = tensor if tensor.dim() else tensor[None]
    if not rows.numel():
        return
    at_once = max(1, _AT_ONCE // math.prod(rows.shape[1:]))
    for part in torch.split(rows, at_once):
        yield part.contiguous().view(-1).view(torch.uint8).numpy().data
