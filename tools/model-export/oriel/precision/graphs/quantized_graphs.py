"""Graphs that compute on encoded weights as they lie in an encoding's file: every MatMul and Gather
becomes the kernel that its weight's layout asks for. The kernels are files of their own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import onnx
import onnx_ir as ir

from oriel.contract.activation_names import ModelShape, TensorSpec
from oriel.graph.build_graphs import BuiltGraphs
from oriel.graph.built_graph import BuiltGraph, set_outputs
from oriel.graph.data_files import located
from oriel.graph.graph_document import write_document
from oriel.precision.calibration.calibrate import ActivationRanges
from oriel.precision.kernels.block_kernels import gather_blocks, multiply_blocks
from oriel.precision.kernels.channel_kernels import gather_channels
from oriel.precision.kernels.dynamic_int8 import multiply_dynamically
from oriel.precision.kernels.graph_edit import CONTRIB, GraphEdit, values_of
from oriel.precision.kernels.static_int8 import Range, multiply_statically
from oriel.precision.kernels.two_digit_int8 import multiply_in_two_digits
from oriel.precision.recipes.weight_uses import weight_uses
from oriel.precision.weights.encoded_layout import EncodedFile, EncodedWeight
from oriel.precisions import Kernels


def quantized_graphs(
    graphs: BuiltGraphs,
    shape: ModelShape,
    encoded: EncodedFile,
    kernels: Kernels,
    ranges: ActivationRanges | None = None,
) -> BuiltGraphs:
    """Return the graphs over an encoded file, with taps of their own.

    graphs: the float32 ones, of the weights that were encoded. ranges: what int8_static rounds
    activations by; the other kernels need none.
    """
    taken: dict[str, Range] | None = None
    if kernels == "int8_static":
        assert ranges is not None, "static kernels need ranges"
        taken = ranges_by_weight(graphs.decoder.model.graph, ranges)
    rewriting = _Rewriting(encoded, taken)
    plain = rewriting.of(graphs.plain)
    decoder = rewriting.of(graphs.decoder)
    return BuiltGraphs.of(plain, decoder, shape, graphs.layout)


def quantized_model(
    model: onnx.ModelProto,
    encoded: EncodedFile,
    ranges: ActivationRanges | None,
    last: Callable[[ir.Graph], Collection[ir.Node]],
) -> onnx.ModelProto:
    """Return any float32 graph over an encoded file. ranges: as in quantized_graphs; None for
    dynamic int8. last: the products whose activations are rounded to two digits."""
    taken = None if ranges is None else ranges_by_weight(model.graph, ranges)
    rewritten = _Rewriting(encoded, taken).rewrite(ir.serde.deserialize_model(model), last)
    return ir.serde.serialize_model(rewritten)


def ranges_by_weight(graph: onnx.GraphProto, ranges: ActivationRanges) -> dict[str, Range]:
    """The range of what each weight is multiplied with: the plain graph may call it otherwise."""
    found: dict[str, Range] = {}
    for weight, use in weight_uses(graph).items():
        known = [ranges.ranges[name] for name in use.factors if name in ranges.ranges]
        if known:
            found[weight] = min(low for low, _ in known), max(high for _, high in known)
    return found


@dataclass(frozen=True)
class _Rewriting:
    encoded: EncodedFile
    taken: Mapping[str, Range] | None
    """By weight; None: activations are rounded as they come."""

    def of(self, built: BuiltGraph) -> BuiltGraph:
        model = self.rewrite(ir.serde.deserialize_model(built.model), _unembedding)
        proto = ir.serde.serialize_model(model)
        set_outputs(proto, [TensorSpec.from_json(o) for o in built.document["outputs"]])
        write_document(proto, built.document)
        return BuiltGraph(proto, built.document)

    def rewrite(self, model: ir.Model, last: Callable[[ir.Graph], Collection[ir.Node]]) -> ir.Model:
        """Put kernels into the model, which is changed."""
        graph = model.graph
        edit = GraphEdit(graph, self.encoded.path, self.encoded.starts)
        weights = {weight.name: weight for weight in self.encoded.weights}
        precise = last(graph)
        turned: set[ir.Node] = set()
        for node in list(graph):
            for value in dict.fromkeys(node.inputs):
                if value is None or not value.is_initializer():
                    continue
                weight = weights.get(value.name or "")
                if weight is None or weight.layout == "float32":
                    continue
                if weight.quantized and node.op_type == "Transpose":
                    turned.add(node)
                    for reader in [use.node for use in node.outputs[0].uses()]:
                        self._multiply(edit, reader, weight, reader in precise)
                elif weight.layout == "float16" or node.op_type == "Gather":
                    self._replace(edit, node, value, weight)
                else:
                    self._multiply(edit, node, weight, node in precise)
        for node in turned:
            graph.remove(node, safe=True)
        self._remove_replaced(edit, weights)
        graph.sort()
        model.opset_imports[CONTRIB] = 1
        return model

    def _replace(
        self, edit: GraphEdit, node: ir.Node, value: ir.Value, weight: EncodedWeight
    ) -> None:
        if weight.layout == "float16":
            _cast_to_float32(edit, node, value, weight)
            return
        assert node.inputs[0] is value, f"{weight.name} is no table of a Gather"
        gather = gather_blocks if weight.layout == "blocks" else gather_channels
        gather(edit, node, weight)

    def _multiply(
        self, edit: GraphEdit, node: ir.Node, weight: EncodedWeight, is_last: bool
    ) -> None:
        assert node.op_type == "MatMul", f"{weight.name} is read by {node.op_type}"
        if weight.layout == "blocks":
            multiply_blocks(edit, node, weight)
        elif is_last:
            multiply_in_two_digits(edit, node, weight)
        elif self.taken is None:
            multiply_dynamically(edit, node, weight)
        else:
            multiply_statically(edit, node, weight, self.taken[weight.name])

    def _remove_replaced(self, edit: GraphEdit, weights: Mapping[str, EncodedWeight]) -> None:
        """float32 weights are read from the encoded file; the old ones of all others go."""
        initializers = edit.graph.initializers
        for name, value in list(initializers.items()):
            weight = weights.get(name)
            if weight is None:
                continue
            if weight.layout == "float32":
                old = value.const_value
                assert isinstance(old, ir.ExternalTensor)
                file, at = located(edit.location, edit.starts, weight.values)
                value.const_value = ir.ExternalTensor(
                    file,
                    at,
                    old.length,
                    old.dtype,
                    shape=ir.Shape(weight.shape),
                    name=name,
                )
            else:
                assert not value.uses(), f"{name} is still read in float32"
                del initializers[name]


def _unembedding(graph: ir.Graph) -> Collection[ir.Node]:
    """The MatMul that logits come from."""
    value: ir.Value | None = next(v for v in graph.outputs if v.name == "logits")
    while value is not None and (node := value.producer()) is not None:
        if node.op_type == "MatMul":
            return {node}
        value = node.inputs[0]
    return ()


def _cast_to_float32(
    edit: GraphEdit, node: ir.Node, value: ir.Value, weight: EncodedWeight
) -> None:
    """A weight in float16, back in float32. A table is widened whole and once, not row by row: an
    adapter without shader-f16 could not gather its rows."""
    wide = edit.at_start("Cast", values_of(edit, weight), to=int(ir.DataType.FLOAT))
    for index, read in enumerate(node.inputs):
        if read is value:
            node.replace_input_with(index, wide)
