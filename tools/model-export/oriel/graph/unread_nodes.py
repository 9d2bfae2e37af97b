"""Removes nodes that nothing reads after a rewrite, and the nodes that only they read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import onnx

from oriel.contract.activation_names import parse_name
from oriel.graph.closings import open_end


def drop_unread(graph: onnx.GraphProto, tensors: Iterable[str]) -> None:
    """Remove the nodes that compute these tensors if nothing reads them, then do the same for their
    inputs. Tensors that the contract names stay, since taps read them."""
    producers = {name: node for node in graph.node for name in node.output}
    reads = Counter(name for node in graph.node for name in node.input)
    reads.update(value.name for value in graph.output)
    dropped: set[int] = set()
    waiting = list(tensors)
    while waiting:
        node = producers.get(waiting.pop())
        if node is None or id(node) in dropped or any(map(reads.__getitem__, node.output)):
            continue
        if any(parse_name(name.removesuffix(open_end(""))) for name in node.output):
            continue
        dropped.add(id(node))
        reads.subtract(node.input)
        waiting.extend(node.input)
    kept = [node for node in graph.node if id(node) not in dropped]
    del graph.node[:]
    graph.node.extend(kept)
    used = {name for node in graph.node for name in node.input}
    used |= {value.name for value in [*graph.input, *graph.output]}
    tensors_kept = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(tensors_kept)
