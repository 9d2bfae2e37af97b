"""The tokens whose logits a unit raises and lowers most: the product of the direction along which
it writes and the unembedding, through the final norm's weights. A neuron's direction is its row of
weights; a head's is the mean of what it writes where it fires; a feature's is its row of the
decoder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from oriel.arrays import Array
from oriel.contract.activation_names import ModelShape, TensorSpec, kinds
from oriel.contract.documents import Variant
from oriel.contract.variant_graphs import tapped_graph
from oriel.dashboards.directions import Directions
from oriel.errors import OrielError
from oriel.graph.attribution import check_attributable, token_directions
from oriel.graph.built_graph import set_outputs
from oriel.graph.closings import open_end
from oriel.graph.node_writer import NodeWriter
from oriel.graph.weight_reads import WeightReads
from oriel.runtime.onnx_graph import OnnxGraph

LISTED = 10
"""Tokens listed on each side."""
_OUTPUTS = {"mlp_act": "mlp_output", "attn_z": "attn_output"}
"""Kinds whose units write through a matrix, and the activation that it gives."""
_AT_ONCE = 2048
"""Tokens of the vocabulary multiplied at a time, at most."""
_NUMBERS = 1 << 24
"""Products of units and tokens at a time, at most: a dictionary may have a million features."""
_TOKENS, _SHARES = "dashboards/tokens", "dashboards/shares"
_VECTORS = "dashboards/vectors"


@dataclass(frozen=True)
class LogitTokens:
    """Tokens of each unit of a group, (units, listed): those of the largest shares first, or of the
    smallest; of equal ones the lowest id."""

    promoted: Array
    """int32."""
    promoted_by: Array
    """float32: what one unit of the value adds to the logit, before the norm's division."""
    suppressed: Array
    suppressed_by: Array


def logit_tokens(
    folder: Path, weights: Path, variant: Variant, shape: ModelShape, along: Directions
) -> LogitTokens | None:
    """Return the tokens of the units of a group; None for models whose logits aren't the product of
    the stream and the unembedding.

    folder: of the bundle. weights: folder of the data files that the graph reads.
    """
    graph = (folder / tapped_graph(variant)["path"]).read_bytes()
    try:
        session = _session(graph, weights, shape, along)
    except OrielError:
        return None
    feeds = {} if along.vectors is None else {_VECTORS: along.vectors}
    best: list[tuple[Array, Array]] | None = None
    for ids in _chunks(shape.vocab, max(1, min(_AT_ONCE, _NUMBERS // along.units))):
        (shares,) = session.call([_SHARES], {_TOKENS: ids, **feeds}).values()
        found = [_strongest(sign * shares, ids) for sign in (1, -1)]
        best = found if best is None else list(map(_joined, best, found))
    assert best is not None
    (raised, raised_ids), (lowered, lowered_ids) = best
    return LogitTokens(raised_ids, raised, lowered_ids, -lowered)


def _session(graph: bytes, weights: Path, shape: ModelShape, along: Directions) -> OnnxGraph:
    """Return a session that gives (units, tokens) for token ids, and for the vectors where there
    are some. Raises OrielError for models without such a product."""
    model = onnx.load_model_from_string(graph)
    check_attributable(model.graph, shape)
    writer = NodeWriter("dashboards/")
    shares = token_directions(model.graph, shape, writer, _TOKENS)
    if along.kind in _OUTPUTS:
        activation, output = (
            kinds()[kind].at(along.layer) for kind in (along.kind, _OUTPUTS[along.kind])
        )
        product = WeightReads.of_path(model.graph, activation, open_end(output))
        shares = product.times(writer, shares)
    inputs = [TensorSpec(_TOKENS, "int64", ("tokens",))]
    if along.vectors is not None:
        # Not a constant of the graph: a dictionary's vectors may be larger than a graph can be.
        inputs.append(TensorSpec(_VECTORS, "float32", along.vectors.shape))
        shares = _by_vectors(writer, shares, along)
    writer.name(_SHARES, writer.put("Identity", [shares]))
    outputs = [TensorSpec(_SHARES, "float32", (along.units, "tokens"))]
    model = onnx.load_model_from_string(graph + writer.appended(inputs, outputs))
    set_outputs(model, outputs)
    _keep_needed(model.graph)
    return OnnxGraph(weights, model.SerializeToString(), "plain", shape)


def _by_vectors(writer: NodeWriter, shares: str, along: Directions) -> str:
    """Return the name of (units, tokens): the products of the units' vectors with (width, tokens),
    or of each head's own with its part of (heads × width, tokens)."""
    if not along.of_heads:
        return writer.put("MatMul", [_VECTORS, shares])
    assert along.vectors is not None
    by_head = writer.put("Reshape", [shares, writer.numbers([*along.vectors.shape, -1])])
    rows = writer.put("Unsqueeze", [_VECTORS, writer.numbers([1])])
    return writer.put("Squeeze", [writer.put("MatMul", [rows, by_head]), writer.numbers([1])])


def _keep_needed(graph: onnx.GraphProto) -> None:
    """Remove all nodes, inputs and weights that the outputs don't need."""
    needed = {value.name for value in graph.output}
    nodes: list[onnx.NodeProto] = []
    # Appended nodes come last, and each reads only what stands before it.
    for node in reversed(graph.node):
        if needed & set(node.output):
            nodes.insert(0, node)
            needed |= set(node.input)
    inputs = [value for value in graph.input if value.name in needed]
    weights = [tensor for tensor in graph.initializer if tensor.name in needed]
    for field, kept in ((graph.node, nodes), (graph.input, inputs), (graph.initializer, weights)):
        del field[:]
        field.extend(kept)


def _chunks(vocab: int, size: int) -> Iterator[Array]:
    for begin in range(0, vocab, size):
        yield np.arange(begin, min(vocab, begin + size), dtype=np.int64)


def _strongest(shares: Array, ids: Array) -> tuple[Array, Array]:
    """Return the largest of (units, tokens) and their ids."""
    count = min(LISTED, len(ids))
    # To sort the whole rows would take longer than the product.
    least = np.partition(shares, len(ids) - count, axis=1)[:, len(ids) - count, None]
    rows, columns = np.nonzero(shares >= least)
    order = np.lexsort((columns, -shares[rows, columns], rows))
    rows, columns = rows[order], columns[order]
    first = np.searchsorted(rows, np.arange(len(shares)))
    kept = columns[first[:, None] + np.arange(count)]
    return np.take_along_axis(shares, kept, axis=1), ids[kept].astype(np.int32)


def _joined(one: tuple[Array, Array], later: tuple[Array, Array]) -> tuple[Array, Array]:
    shares, ids = (np.concatenate(pair, axis=1) for pair in zip(one, later, strict=True))
    order = np.argsort(-shares, axis=1, kind="stable")[:, :LISTED]
    return np.take_along_axis(shares, order, axis=1), np.take_along_axis(ids, order, axis=1)
