"""Parameters of a traced graph as its inputs: unset weights must not be folded, compared or merged
by an optimizer, which leaves inputs alone."""

from __future__ import annotations

from collections.abc import Mapping

import onnx_ir as ir


def parameters_to_inputs(model: ir.Model, names: Mapping[str, str]) -> tuple[str, ...]:
    """Turn initializers into inputs, and return the names of those that the graph has.

    names: {name of an initializer: name of the input}.
    """
    graph = model.graph
    found: list[str] = []
    for old, value in list(graph.initializers.items()):
        if old not in names:
            continue
        del graph.initializers[old]
        value.const_value = None
        value.name = names[old]
        graph.inputs.append(value)
        found.append(names[old])
    return tuple(found)
