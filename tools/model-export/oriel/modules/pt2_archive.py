"""The program inside a `.pt2`, read from its JSON without running or unpickling anything."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from oriel.contract.json_value import JsonObject, JsonValue, object_at, text_at
from oriel.errors import GraphError
from oriel.formats.archive import read_entry

_DTYPES = (
    *("unknown", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"),
    *("complex32", "complex64", "complex128", "bool", "bfloat16"),
)
"""By the number that torch's archive has for each."""
Tensor = tuple[str, str, Sequence[int | str]]
"""Name, dtype and shape; a dynamic size as the expression that the file has for it."""


@dataclass(frozen=True)
class Pt2Program:
    """The description that a `.pt2` carries."""

    torch_version: str
    nodes: int
    inputs: list[Tensor]
    outputs: list[Tensor]
    weights: list[Tensor]


def read_pt2(file: Path) -> Pt2Program:
    """Return a program's inputs, outputs and weights. Raises GraphError for a file that holds no
    program of torch.export."""
    text = read_entry(file, "models/model.json")
    if text is None:
        raise _no_program(file, "an archive without models/model.json")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _no_program(file, "a program that is no JSON") from error
    if not isinstance(data, dict):
        raise _no_program(file, "a program of another form")
    module = object_at(data, "graph_module")
    graph, signature = object_at(module, "graph"), object_at(module, "signature")
    values = object_at(graph, "tensor_values")
    inputs, weights = [], []
    for spec in _objects(signature.get("input_specs")):
        for kind, inner in spec.items():
            name = _argument(inner)
            if kind == "user_input":
                inputs.append(_tensor(name, name, values))
            elif kind in ("parameter", "buffer", "tensor_constant"):
                stored = text_at(inner, f"{kind}_name") if isinstance(inner, dict) else None
                weights.append(_tensor(stored or name, name, values))
    names = [_argument(spec.get("user_output")) for spec in _objects(signature.get("output_specs"))]
    nodes = graph.get("nodes")
    return Pt2Program(
        text_at(data, "torch_version") or "unknown",
        len(nodes) if isinstance(nodes, list) else 0,
        inputs,
        [_tensor(name, name, values) for name in names if name],
        weights,
    )


def _no_program(file: Path, got: str) -> GraphError:
    return GraphError(
        f"{file.name} holds no program of torch.export", got=got, next_step="write it again."
    )


def _objects(value: JsonValue) -> list[JsonObject]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _argument(spec: JsonValue) -> str:
    """Return the name of a specification's tensor; empty where it is none."""
    argument = object_at(spec, "arg") if isinstance(spec, dict) else {}
    inner = object_at(argument, "as_tensor") or argument
    return text_at(inner, "name") or ""


def _tensor(name: str, key: str, values: JsonObject) -> Tensor:
    meta = object_at(values, key)
    number = meta.get("dtype")
    known = isinstance(number, int) and 0 <= number < len(_DTYPES)
    shape: list[int | str] = []
    for size in _objects(meta.get("sizes")):
        fixed = size.get("as_int")
        expression = object_at(size, "as_expr")
        shape.append(fixed if isinstance(fixed, int) else text_at(expression, "expr_str") or "?")
    return name, _DTYPES[number] if known and isinstance(number, int) else "unknown", shape
