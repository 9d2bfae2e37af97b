"""Parameters as external data: where each stands in the weights files, and how a graph says so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import onnx_ir as ir

from oriel.graph.data_files import aligned, located, starts_of_files

_DTYPES = {4: ir.DataType.FLOAT, 2: ir.DataType.FLOAT16}


@dataclass(frozen=True)
class PlacedWeight:
    """A parameter's place in the weights files, as the graph reads it: floats, row-major."""

    name: str
    offset: int
    shape: tuple[int, ...]
    transposed: bool
    """The checkpoint has the last two axes the other way round."""
    item_bytes: int = 4
    """4 for float32, 2 for float16."""

    @property
    def bytes(self) -> int:
        size = self.item_bytes
        for extent in self.shape:
            size *= extent
        return size


@dataclass(frozen=True)
class WeightLayout:
    """An encoding's weights files: the placed parameters, in the order of their offsets."""

    weights: tuple[PlacedWeight, ...]
    starts: tuple[int, ...] = (0,)
    """Offset at which each file begins."""

    @property
    def bytes(self) -> int:
        return max((w.offset + w.bytes for w in self.weights), default=0)


def place_weights(
    parameters: Mapping[str, tuple[int, ...]], transposed: Iterable[str]
) -> WeightLayout:
    """Lay parameters out in the order given, which is the model's own."""
    turned = set(transposed)
    return _lay_out(
        PlacedWeight(
            name, 0, tuple(reversed(shape)) if name in turned else tuple(shape), name in turned
        )
        for name, shape in parameters.items()
    )


def _lay_out(weights: Iterable[PlacedWeight]) -> WeightLayout:
    placed: list[PlacedWeight] = []
    offset = 0
    for weight in weights:
        placed.append(replace(weight, offset=offset))
        offset = aligned(offset + weight.bytes)
    return WeightLayout(
        tuple(placed), starts_of_files((w.offset, w.offset + w.bytes) for w in placed)
    )


def attach_weights(model: ir.Model, layout: WeightLayout, location: str) -> None:
    """Turn the graph's parameter inputs into initializers that point into the data files, whose
    first has the name `location`."""
    graph = model.graph
    places = {weight.name: weight for weight in layout.weights}
    inputs = list(graph.inputs)
    graph.inputs.clear()
    for value in inputs:
        place = places.get(value.name or "")
        if place is None:
            graph.inputs.append(value)
            continue
        assert value.shape is None or value.shape == place.shape, f"the graph turns {place.name}"
        file, offset = located(location, layout.starts, place.offset)
        value.const_value = ir.ExternalTensor(
            file,
            offset,
            place.bytes,
            _DTYPES[place.item_bytes],
            shape=ir.Shape(place.shape),
            name=place.name,
        )
        value.dtype = _DTYPES[place.item_bytes]
        value.shape = ir.Shape(place.shape)
        graph.register_initializer(value)
