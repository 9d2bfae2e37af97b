"""The tap of a dictionary: nodes that compute its features from an activation, with tensors that
stay in the dictionary's file. It reads nothing else of a graph, so all variants have the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import onnx
from onnx import TensorProto, helper

from oriel.contract.activation_names import TensorSpec
from oriel.contract.dictionaries import ENCODER, features_spec, row_width
from oriel.contract.documents import DictionaryDescription
from oriel.graph.stored_maps import external_tensor
from oriel.graph.taps import Tap, tap_of
from oriel.graph.tensor_file import StoredTensor


@dataclass
class _Nodes:
    """Nodes and tensors whose names have the dictionary's prefix."""

    prefix: str
    location: str
    """Path of the dictionary's file, relative to the graph."""
    places: Mapping[str, StoredTensor]
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    tensors: list[TensorProto] = field(default_factory=list)

    def add(
        self, operator: str, inputs: list[str], part: str, **attributes: int | list[int]
    ) -> str:
        """Add a node of one output. Return the output's name."""
        return self.add_to(operator, inputs, [f"{self.prefix}{part}"], **attributes)[0]

    def add_to(
        self, operator: str, inputs: list[str], outputs: list[str], **attributes: int | list[int]
    ) -> list[str]:
        """Add a node with these outputs. Return them."""
        name = f"{outputs[0]}/{operator}"
        self.nodes.append(helper.make_node(operator, inputs, outputs, name))
        for key, value in sorted(attributes.items()):
            self.nodes[-1].attribute.append(helper.make_attribute(key, value))
        return outputs

    def constant(self, values: list[int], part: str) -> str:
        """Add integers. Return their name."""
        name = f"{self.prefix}{part}"
        tensor = helper.make_tensor(name, TensorProto.INT64, [len(values)], values)
        self.nodes.append(helper.make_node("Constant", [], [name], f"{name}/Constant"))
        self.nodes[-1].attribute.append(helper.make_attribute("value", tensor))
        return name

    def stored(self, part: str) -> str:
        """Add a tensor of the file, cast to float32 where it is float16. Return the result."""
        place, name = self.places[part], f"{self.prefix}{part}"
        self.tensors.append(external_tensor(name, place, self.location))
        if place.dtype == "float32":
            return name
        return self.add("Cast", [name], f"{part}_wide", to=TensorProto.FLOAT)


def dictionary_tap(
    name: str,
    reads: TensorSpec,
    description: DictionaryDescription,
    location: str,
    places: Mapping[str, StoredTensor],
) -> Tap:
    """Return the tap that computes a dictionary's features, (batch, seq, features).

    name: the dictionary's. reads: the activation that it reads. location: the path of its file,
    relative to the graph. places: {tensor: its location in the file}.
    """
    output = features_spec(name, description["features"])
    encoder = {part: places[part] for part in ENCODER if part in places}
    graph = _Nodes(f"{output.name}/", location, encoder)
    product = graph.add("MatMul", [_rows(graph, reads), graph.stored("encoder_weight")], "product")
    sum_ = graph.add("Add", [product, graph.stored("encoder_bias")], "pre")
    if description["activation"] == "relu":
        graph.add_to("Relu", [sum_], [output.name])
    elif description["activation"] == "jumprelu":
        over = graph.add("Greater", [sum_, graph.stored("threshold")], "over")
        graph.add_to("Where", [over, sum_, _zeros(graph, sum_)], [output.name])
    else:
        _keep_greatest(graph, sum_, int(description["k"]), output.name)
    return tap_of([output], graph.nodes, graph.tensors)


def _rows(graph: _Nodes, reads: TensorSpec) -> str:
    """Return the activation as (batch, seq, width): heads, where it has some, one after another."""
    if len(reads.shape) == 3:
        return reads.name
    by_token = graph.add("Transpose", [reads.name], "by_token", perm=[0, 2, 1, 3])
    # 0 keeps a size.
    sizes = graph.constant([0, 0, row_width(reads)], "sizes")
    return graph.add("Reshape", [by_token, sizes], "rows")


def _zeros(graph: _Nodes, like: str) -> str:
    """Return zeros of another tensor's shape."""
    return graph.add("ConstantOfShape", [graph.add("Shape", [like], "shape")], "zeros")


def _keep_greatest(graph: _Nodes, sums: str, k: int, output: str) -> None:
    """Give the k greatest of max(sums, 0) at each token, and 0 for the others. Of equal ones TopK
    takes the first."""
    above = graph.add("Relu", [sums], "above")
    values, places = graph.add_to(
        "TopK",
        [above, graph.constant([k], "k")],
        [f"{graph.prefix}greatest", f"{graph.prefix}greatest_places"],
        axis=-1,
        largest=1,
        sorted=1,
    )
    inputs = [_zeros(graph, above), places, values]
    graph.add_to("ScatterElements", inputs, [output], axis=-1)
