"""Parameters as external data: where each stands in the one weights file, and how a graph says so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import onnx_ir as ir

ALIGNMENT = 64
"""Bytes; a cache line, and more than any typed array or vector load asks for."""


@dataclass(frozen=True)
class PlacedWeight:
    """A parameter's place in the weights file, as the graph reads it: float32, row-major."""

    name: str
    offset: int
    shape: tuple[int, ...]
    transposed: bool
    """The checkpoint has the last two axes the other way round."""

    @property
    def bytes(self) -> int:
        size = 4
        for extent in self.shape:
            size *= extent
        return size


@dataclass(frozen=True)
class WeightLayout:
    """One weights file: its placed parameters, in the order of their offsets."""

    weights: tuple[PlacedWeight, ...]

    @property
    def bytes(self) -> int:
        return max((w.offset + w.bytes for w in self.weights), default=0)


def place_weights(
    parameters: Mapping[str, tuple[int, ...]], transposed: Iterable[str]
) -> WeightLayout:
    """Lay parameters out in the order given, which is the model's own."""
    turned = set(transposed)
    placed: list[PlacedWeight] = []
    offset = 0
    for name, shape in parameters.items():
        stands = tuple(reversed(shape)) if name in turned else tuple(shape)
        weight = PlacedWeight(name, offset, stands, name in turned)
        placed.append(weight)
        offset = -(-(offset + weight.bytes) // ALIGNMENT) * ALIGNMENT
    return WeightLayout(tuple(placed))


def attach_weights(model: ir.Model, layout: WeightLayout, location: str) -> None:
    """Turn the graph's parameter inputs into initializers that point into the file `location`."""
    graph = model.graph
    places = {weight.name: weight for weight in layout.weights}
    inputs = list(graph.inputs)
    graph.inputs.clear()
    for value in inputs:
        place = places.get(value.name or "")
        if place is None:
            graph.inputs.append(value)
            continue
        value.const_value = ir.ExternalTensor(
            location,
            place.offset,
            place.bytes,
            ir.DataType.FLOAT,
            shape=ir.Shape(place.shape),
            name=place.name,
        )
        value.dtype = ir.DataType.FLOAT
        value.shape = ir.Shape(place.shape)
        graph.register_initializer(value)
