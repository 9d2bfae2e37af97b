"""int8 forms of a float32 ONNX file of any model, such as an encoder: by the recipes, the rounding
and the kernels that a bundle's variants have, each into a file of its own."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
import onnx_ir as ir
from onnx import TensorProto, external_data_helper, numpy_helper

from oriel.arrays import Array
from oriel.bundle.passages import Passages
from oriel.errors import GraphError
from oriel.graph.attach_weights import PlacedWeight, WeightLayout
from oriel.graph.data_files import ALIGNMENT
from oriel.precision.calibration.calibrate import Calibration, calibrate_on
from oriel.precision.graphs.kernel_nodes import check_encoding, kernel_nodes, total_nodes
from oriel.precision.graphs.quantized_graphs import quantized_model
from oriel.precision.recipes.recipe import bundled_recipe
from oriel.precision.recipes.weight_uses import weight_uses
from oriel.precision.weights.encoded_layout import EncodedFile
from oriel.precision.weights.write_encoded import write_encoded_file
from oriel.precisions import PRECISIONS

RECIPE = "q8_signed"
"""Signed: processors with VNNI or AMX multiply int8 weights up to three times as fast as uint8."""
Int8 = Literal["int8", "int8_static"]
INT8: tuple[Int8, ...] = ("int8", "int8_static")
_FLOATS, _ENCODED = "float32.bin", "encoded.bin"
_MOST_PRECISE = 1 << 22
"""Values of a weight up to which its product may be the last of two digits: it takes twice the
time, and of a vocabulary's product that would be most of the model's."""
_PASSING = ("Add", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze")
"""Operators that lie between a last product and what the model gives."""


@dataclass(frozen=True)
class QuantizedFile:
    """A file that was written."""

    nodes: Mapping[str, int]
    """{operator: nodes of it} that compute on encoded weights."""
    recipe: str
    calibration: Calibration


class PlainModel:
    """A float32 model whose matrices lie in a folder, calibrated and encoded once for all its int8
    forms. The folder is removed when the `with` block ends."""

    def __init__(
        self, file: Path, feeds: Iterable[Mapping[str, Array]], passages: Passages
    ) -> None:
        self._source, self._feeds, self._passages = file, feeds, passages
        self._scratch = tempfile.TemporaryDirectory(prefix="oriel-int8-")
        self._folder = Path(self._scratch.name)

    def __enter__(self) -> PlainModel:
        """Read, calibrate and encode. Raises GraphError where there is nothing to quantize."""
        model = _with_products(onnx.load(self._source))
        layout = _place_matrices(model, self._folder / _FLOATS)
        self._model, uses = model, weight_uses(model.graph)
        if not any(use.quantizable for use in uses.values()):
            raise GraphError(
                "the model has nothing to quantize",
                got="no matrix that a MatMul or a Gather reads",
                expected="a transformer",
            )
        self._seen = calibrate_on(
            self._folder, model, self._feeds, self._passages, "minmax", moments=True
        )
        recipe = bundled_recipe(RECIPE)
        self._encoded: EncodedFile = write_encoded_file(
            self._folder / _FLOATS,
            layout,
            uses,
            recipe,
            self._folder / _ENCODED,
            self._seen.moments,
        )
        check_encoding(self._encoded, uses)
        return self

    def __exit__(self, *_: object) -> None:
        self._scratch.cleanup()

    def write(self, precision: Int8, target: Path) -> QuantizedFile:
        """Write one form, each weight once."""
        ranges = self._seen.ranges if PRECISIONS[precision].calibrated else None
        made = quantized_model(self._model, self._encoded, ranges, _last_products)
        nodes = total_nodes(kernel_nodes(made.graph))
        external_data_helper.load_external_data_for_model(made, str(self._folder))
        onnx.save(made, target)
        return QuantizedFile(nodes, self._encoded.recipe.name, self._seen)


def _with_products(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with each Gemm of a weight as MatMul and Add, which have kernels."""
    made = ir.serde.deserialize_model(model)
    graph = made.graph
    for node in [each for each in graph if each.op_type == "Gemm"]:
        said = {name: a.value for name, a in node.attributes.items()}
        weight, factor, bias = node.inputs[1], node.inputs[0], (*node.inputs, None)[2]
        plain = said.get("alpha", 1.0) == said.get("beta", 1.0) == 1.0 and not said.get("transA")
        if not plain or factor is None or weight is None or not weight.is_initializer():
            continue

        def put(operator: str, *inputs: ir.Value, at: ir.Node = node, **how: list[int]) -> ir.Value:
            new = ir.node(operator, inputs, attributes=how, name=f"{at.name}/{operator}")
            new.outputs[0].name = f"{at.name}/{operator}"
            graph.insert_before(at, new)
            return new.outputs[0]

        turned = put("Transpose", weight, perm=[1, 0]) if said.get("transB") else weight
        product = put("MatMul", factor, turned)
        result = product if bias is None else put("Add", product, bias)
        old = node.outputs[0]
        name, old.name = old.name, f"{old.name}/gemm"
        result.name, result.shape, result.type = name, old.shape, old.type
        old.replace_all_uses_with(result, replace_graph_outputs=True)
        graph.remove(node, safe=True)
    return ir.serde.serialize_model(made)


def _place_matrices(model: onnx.ModelProto, file: Path) -> WeightLayout:
    """Move the matrices into a file, where encoding and calibration map them."""
    placed: list[PlacedWeight] = []
    with file.open("wb") as out:
        for tensor in model.graph.initializer:
            if tensor.data_type != TensorProto.FLOAT or len(tensor.dims) != 2:
                continue
            values = np.ascontiguousarray(numpy_helper.to_array(tensor), "<f4")
            out.write(bytes(-out.tell() % ALIGNMENT))
            placed.append(PlacedWeight(tensor.name, out.tell(), values.shape, False))
            out.write(values.reshape(-1).data.cast("B"))
            tensor.ClearField("float_data")
            tensor.raw_data = b""
            external_data_helper.set_external_data(
                tensor, file.name, offset=placed[-1].offset, length=values.nbytes
            )
            tensor.ClearField("raw_data")
    return WeightLayout(tuple(placed))


def _last_products(graph: ir.Graph) -> Collection[ir.Node]:
    """Return the products that outputs are nothing but, such as logits: between them is decided by
    less than a step of 8 bits."""
    found: set[ir.Node] = set()
    for output in graph.outputs:
        value: ir.Value | None = output
        while value is not None and (node := value.producer()) is not None:
            if node.op_type == "MatMul" and _is_small(node.inputs[1]):
                found.add(node)
            value = node.inputs[0] if node.op_type in _PASSING else None
    return found


def _is_small(factor: ir.Value | None) -> bool:
    """Return whether a factor is a weight, as it is or transposed, of few values."""
    turned = factor.producer() if factor is not None else None
    weight = factor if turned is None else turned.inputs[0]
    if weight is None or not weight.is_initializer() or weight.shape is None:
        return False
    return bool(np.prod(weight.shape.numpy()) <= _MOST_PRECISE)
