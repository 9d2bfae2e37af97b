"""The graphs of fp16: weights and matrix products in float16; norms, softmax, rotary angles and the
residual stream in float32, as are all inputs and outputs."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import onnx
import onnx_ir as ir
from onnx import TensorProto, helper
from onnx.numpy_helper import to_array
from onnx_ir.passes import common as passes
from onnxconverter_common import float16

from oriel.contract.activation_names import (
    LENS_KINDS,
    ModelShape,
    TensorSpec,
    all_activations,
    cache_output_specs,
    input_specs,
    kinds,
)
from oriel.graph.attach_weights import PlacedWeight, WeightLayout, attach_weights
from oriel.graph.build_graphs import BuiltGraphs
from oriel.graph.built_graph import BuiltGraph, set_outputs
from oriel.graph.finish_graph import finish
from oriel.graph.graph_document import write_document
from oriel.precision.weights.encoded_layout import EncodedFile

_PRODUCTS = {"MatMul", "Gemm"}
_KEPT_OPERATORS = ("LayerNormalization", "Softmax", "Cos", "Sin")
_SEPARATE_SUFFIX = "/apart"


def convert_graphs(graphs: BuiltGraphs, shape: ModelShape, encoded: EncodedFile) -> BuiltGraphs:
    """Return the graphs with float16 inside, over a file that holds every weight in float16."""
    inner = [s for s in all_activations(shape) if not s.name.endswith(LENS_KINDS)]
    layout = _layout(encoded)
    plain = _convert(graphs.plain, inner, shape, encoded.path, layout)
    with_cache = inner + cache_output_specs(shape)
    decoder = _convert(graphs.decoder, with_cache, shape, encoded.path, layout)
    return BuiltGraphs.of(plain, decoder, shape, layout)


def _layout(encoded: EncodedFile) -> WeightLayout:
    wide = [weight.name for weight in encoded.weights if weight.layout != "float16"]
    assert not wide, f"{wide[:3]} are not float16"
    return WeightLayout(
        tuple(PlacedWeight(w.name, w.values, w.shape, False, 2) for w in encoded.weights),
        encoded.starts,
    )


def _convert(
    built: BuiltGraph,
    inner: list[TensorSpec],
    shape: ModelShape,
    weights_file: str,
    layout: WeightLayout,
) -> BuiltGraph:
    model = onnx.ModelProto()
    model.CopyFrom(built.model)
    _weights_to_inputs(model)
    set_outputs(model, inner)
    constants = {
        t.name: t for t in built.model.graph.initializer if t.data_type == TensorProto.FLOAT
    }
    blocked = _nodes_in_float32(model.graph)
    blocked |= _separate_outputs(model.graph, blocked)
    with warnings.catch_warnings():
        # It warns of constants that it clamps; those that could matter are kept in float32 above.
        warnings.simplefilter("ignore")
        model = float16.convert_float_to_float16(
            model,
            keep_io_types=False,
            op_block_list=[*float16.DEFAULT_OP_BLOCK_LIST, *_KEPT_OPERATORS],
            node_block_list=sorted(blocked),
        )
    typed = ir.serde.deserialize_model(model)
    _restore_constants(typed.graph, constants)
    ports = {spec.name for spec in input_specs(shape, built.document["graph"])}
    _restore_inputs(typed.graph, ports)
    _drop_round_trips(typed.graph)
    _gather_before_cast(typed.graph)
    _restore_outputs(typed.graph)
    passes.RemoveUnusedNodesPass()(typed)
    passes.CommonSubexpressionEliminationPass()(typed)
    finish(typed, shape)
    attach_weights(typed, layout, weights_file)
    model = ir.serde.serialize_model(typed)
    set_outputs(model, [TensorSpec.from_json(o) for o in built.document["outputs"]])
    write_document(model, built.document)
    return BuiltGraph(model, built.document)


def _weights_to_inputs(model: onnx.ModelProto) -> None:
    """Turn the weights into inputs: the converter needs their types, and not their values, which
    may be many GB."""
    graph = model.graph
    external = [t for t in graph.initializer if t.data_location == TensorProto.EXTERNAL]
    kept = [t for t in graph.initializer if t.data_location != TensorProto.EXTERNAL]
    for tensor in external:
        graph.input.append(
            helper.make_tensor_value_info(tensor.name, TensorProto.FLOAT, list(tensor.dims))
        )
    del graph.initializer[:]
    graph.initializer.extend(kept)


def _nodes_in_float32(graph: onnx.GraphProto) -> set[str]:
    """Return the names of nodes that stay in float32.

    Everything between the residual stream and the next matrix product: norms and residual adds.
    Everything between the scores' product and the values': scale, mask, softmax. And everything
    that rotary angles are computed from: a float16 can't tell position 2048 from 2049. And what is
    made of the mask alone: weights of tokens, of which a float16 couldn't count many either.
    """
    start = kinds()["embedding_sum"].at()
    blocked: set[str] = set()
    stream: set[str] = set()
    for node in graph.node:
        if start in node.output or (stream & set(node.input) and node.op_type not in _PRODUCTS):
            blocked.add(node.name)
            stream |= set(node.output)
    producers = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        # Walk back from Softmax through mask and scale, up to the product.
        if node.op_type == "Softmax":
            blocked |= _up_to_products(node, producers)
        if node.op_type in ("Cos", "Sin"):
            blocked |= _up_to_products(node, producers, through_products=True)
    return blocked | _of_the_mask(graph)


def _of_the_mask(graph: onnx.GraphProto) -> set[str]:
    """Return the names of nodes that read nothing but the mask and constants. In a plain graph a
    tensor of ones stands for the mask."""
    fixed = {tensor.name for tensor in graph.initializer}
    fixed |= {name for node in graph.node if node.op_type == "Constant" for name in node.output}
    of_mask = {"attention_mask"}
    found: set[str] = set()
    for node in graph.node:
        read = {name for name in node.input if name} - fixed
        if node.op_type == "ConstantOfShape" or (read and read <= of_mask):
            found.add(node.name)
            of_mask |= set(node.output)
    return found


def _up_to_products(
    node: onnx.NodeProto, producers: dict[str, onnx.NodeProto], through_products: bool = False
) -> set[str]:
    found: set[str] = set()
    waiting = [node]
    while waiting:
        current = waiting.pop()
        if current.name in found:
            continue
        if current.op_type in _PRODUCTS and not through_products:
            continue
        found.add(current.name)
        waiting.extend(producers[name] for name in current.input if name in producers)
    return found


def _separate_outputs(graph: onnx.GraphProto, blocked: set[str]) -> set[str]:
    """Give each output an Identity of its own: the converter breaks graphs whose outputs are read
    inside. Returns the names of those that belong to float32."""
    producers = {name: node for node in graph.node for name in node.output}
    added: set[str] = set()
    for value in graph.output:
        node, inner = producers[value.name], f"{value.name}/inner"
        for reader in graph.node:
            for i, name in enumerate(reader.input):
                if name == value.name:
                    reader.input[i] = inner
        node.output[list(node.output).index(value.name)] = inner
        identity = helper.make_node(
            "Identity", [inner], [value.name], f"{value.name}{_SEPARATE_SUFFIX}"
        )
        graph.node.append(identity)
        if node.name in blocked or node.op_type in _KEPT_OPERATORS:
            added.add(identity.name)
    return added


def _restore_inputs(graph: ir.Graph, ports: set[str]) -> None:
    """Make the contract's inputs float32 again, and cast them to float16 inside."""
    for value in graph.inputs:
        if value.name not in ports or value.dtype != ir.DataType.FLOAT16:
            continue
        readers = list(value.uses())
        cast = _cast(value, ir.DataType.FLOAT16)
        for use in readers:
            use.node.replace_input_with(use.idx, cast.outputs[0])
        graph.insert_before(graph[0], cast)
        value.dtype = ir.DataType.FLOAT


def _restore_constants(graph: ir.Graph, constants: Mapping[str, TensorProto]) -> None:
    """Let float32 nodes read the constant itself, not a float16 cast back: the mask's value doesn't
    fit float16."""
    for node in list(graph):
        if node.op_type != "Cast" or _cast_type(node) != ir.DataType.FLOAT:
            continue
        source = node.inputs[0]
        constant = None if source is None else constants.get(source.name or "")
        if source is None or source.const_value is None or constant is None:
            continue
        value = ir.Value(name=f"{source.name}/fp32")
        value.const_value = ir.tensor(to_array(constant), name=value.name)
        value.type = ir.TensorType(ir.DataType.FLOAT)
        if value.name not in graph.initializers:
            graph.register_initializer(value)
        node.outputs[0].replace_all_uses_with(graph.initializers[value.name or ""])


def _restore_outputs(graph: ir.Graph) -> None:
    """Make the contract's outputs float32 under their names; nodes that go on computing read
    float16."""
    for index, value in enumerate(list(graph.outputs)):
        name = value.name
        wide: ir.Value | None = value
        if value.dtype == ir.DataType.FLOAT16:
            wide = _before_cast(value)
        value.name = f"{name}/outer"
        if wide is None:
            node = _cast(_inner_value(value), ir.DataType.FLOAT)
            graph.append(node)
            wide = node.outputs[0]
        elif _inner_value(wide) not in set(graph.outputs):
            wide = _inner_value(wide)
        wide.name = name
        graph.outputs[index] = wide


def _inner_value(value: ir.Value) -> ir.Value:
    """Return the tensor that an output's own Identity reads, or the output itself."""
    node = value.producer()
    if (
        node is not None
        and node.op_type == "Identity"
        and (node.name or "").endswith(_SEPARATE_SUFFIX)
    ):
        source = node.inputs[0]
        assert source is not None
        return source
    return value


def _drop_round_trips(graph: ir.Graph) -> None:
    """Skip casts from float32 to float16 and back, which lose bits for nothing: the first tensor is
    read."""
    for node in graph:
        if node.op_type != "Cast" or _cast_type(node) != ir.DataType.FLOAT:
            continue
        narrow = node.inputs[0]
        wide = None if narrow is None else _before_cast(narrow)
        if wide is not None and node.outputs[0] not in set(graph.outputs):
            node.outputs[0].replace_all_uses_with(wide)


def _gather_before_cast(graph: ir.Graph) -> None:
    """Cast the rows of a table, not the whole table, which would then be kept in float32."""
    for node in list(graph):
        table = node.inputs[0] if node.op_type == "Gather" else None
        cast = None if table is None else table.producer()
        if cast is None or cast.op_type != "Cast" or _cast_type(cast) != ir.DataType.FLOAT:
            continue
        narrow = cast.inputs[0]
        if narrow is None or narrow.producer() is not None:
            continue
        node.replace_input_with(0, narrow)
        rows = node.outputs[0]
        readers, name = list(rows.uses()), rows.name
        rows.dtype = ir.DataType.FLOAT16
        wide = _cast(rows, ir.DataType.FLOAT)
        graph.insert_after(node, wide)
        for use in readers:
            use.node.replace_input_with(use.idx, wide.outputs[0])
        if rows in graph.outputs:
            graph.outputs[list(graph.outputs).index(rows)] = wide.outputs[0]
            rows.name = f"{name}/narrow"
            wide.outputs[0].name = name


def _before_cast(value: ir.Value) -> ir.Value | None:
    """Return the float32 tensor that `value` was rounded from, if it was."""
    node = value.producer()
    if node is None or node.op_type != "Cast" or _cast_type(node) != ir.DataType.FLOAT16:
        return None
    source = node.inputs[0]
    return source if source is not None and source.dtype == ir.DataType.FLOAT else None


def _cast_type(node: ir.Node) -> int:
    return node.attributes["to"].as_int()


def _cast(value: ir.Value, to: ir.DataType) -> ir.Node:
    node = ir.node("Cast", [value], attributes={"to": int(to)})
    node.outputs[0].dtype = to
    return node
