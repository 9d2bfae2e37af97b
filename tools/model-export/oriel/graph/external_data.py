"""Checks of where an untrusted graph's weights lie: in files beside it, at offsets that are
numbers. Code that reads these files checks that they are long enough."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

import onnx
from onnx import TensorProto

from oriel.contract.activation_contract import validator
from oriel.contract.limits import limits
from oriel.errors import GraphError

_NUMBERS = ("offset", "length")


@cache
def _path() -> re.Pattern[str]:
    """Return the pattern of the paths that a manifest allows."""
    pattern: str = validator("manifest").schema["$defs"]["path"]["pattern"]  # type: ignore[index]
    return re.compile(pattern.replace("$", r"\Z"))


def check_external_data(model: onnx.ModelProto, name: str) -> None:
    """Raise GraphError for a weight that lies outside the graph's folder, or nowhere."""
    external_files(model, name)


def external_files(model: onnx.ModelProto, name: str) -> list[str]:
    """Return the paths of the files with a graph's weights, below its own folder, each once. Raises
    GraphError for a weight that lies outside of that folder, or nowhere."""
    found: dict[str, None] = {}
    for tensor in _tensors(model.graph):
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        said = {entry.key: entry.value for entry in tensor.external_data}
        if len(said) != len(tensor.external_data):
            raise _refused(name, tensor, "its place is given twice")
        location = said.get("location", "")
        if not (0 < len(location) < 256 and _path().search(location)):
            raise _refused(name, tensor, f"it lies in {location[:80]!r}")
        for key in _NUMBERS:
            text = said.get(key, "0")
            if (
                not re.fullmatch("[0-9]{1,16}", text)
                or int(text) > limits()["json"]["largest_number"]
            ):
                raise _refused(name, tensor, f"its {key} is {text[:40]!r}")
        if any(size < 0 for size in tensor.dims):
            raise _refused(name, tensor, f"its shape is {list(tensor.dims)[:8]}")
        found[location] = None
    return list(found)


def _refused(name: str, tensor: TensorProto, why: str) -> GraphError:
    return GraphError(
        f"{name} has a weight that can't be read safely, {tensor.name[:80]}",
        got=why,
        expected="a file beside the graph, and a place in it",
        next_step="export it again.",
    )


def _tensors(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    """Yield initializers and constants, those of inner graphs too: the parser limits how deep they
    nest."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for inner in (attribute.g, *attribute.graphs):
                if inner.node or inner.initializer:
                    yield from _tensors(inner)
