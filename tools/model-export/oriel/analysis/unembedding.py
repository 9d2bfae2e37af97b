"""The direction that raises a token's logit, read from the graph's own weights: a vector to steer
with, or to look for in the stream."""

from __future__ import annotations

import numpy as np
import onnx

from oriel.arrays import Array
from oriel.contract.activation_names import ModelShape, TensorSpec
from oriel.graph.node_writer import NodeWriter
from oriel.graph.weight_reads import WeightReads
from oriel.runtime.bundle import Addition, Bundle
from oriel.runtime.fed_text import check_tokens

_TOKEN, _COLUMN = "unembedding/token", "unembedding/column"


def unembedding(bundle: Bundle, token: int) -> Array:
    """Return the unembedding's column of a token, (hidden), float32, as the variant's weights have
    it. Raises OptionError for a token that isn't there."""
    check_tokens(token, bundle.shape.vocab)
    feeds = {_TOKEN: np.array([token], dtype=np.int64)}
    addition = Addition(_COLUMN, lambda graph: _nodes(graph, bundle.shape), (_COLUMN,), feeds)
    found: Array = bundle.run_with(addition, [[token]])[_COLUMN][0]
    return found


def _nodes(graph: onnx.GraphProto, shape: ModelShape) -> bytes:
    writer = NodeWriter("unembedding/")
    column = WeightReads.of_path(graph, "final_norm", "logits").columns(writer, _TOKEN)
    writer.name(_COLUMN, column)
    token = TensorSpec(_TOKEN, "int64", (1,))
    return writer.appended([token], [TensorSpec(_COLUMN, "float32", (1, shape.hidden))])
