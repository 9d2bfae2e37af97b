"""The direction that raises a token's logit, read from the graph's own weights: a vector to steer
with, or to look for in the stream."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from oriel.arrays import Array
from oriel.graph.weight_reads import NodeWriter, WeightReads
from oriel.runtime.bundle import Addition, Bundle
from oriel.runtime.fed_text import check_tokens

_TOKEN, _COLUMN = "unembedding/token", "unembedding/column"


def unembedding(bundle: Bundle, token: int) -> Array:
    """Return the unembedding's column of a token, (hidden), float32, as the variant's weights have
    it. Raises OptionError for a token that isn't there."""
    check_tokens(token, bundle.shape.vocab)
    addition = Addition(_COLUMN, _nodes, (_COLUMN,), {_TOKEN: np.array([token], dtype=np.int64)})
    found: Array = bundle.run_with(addition, [[token]])[_COLUMN][0]
    return found


def _nodes(graph: onnx.GraphProto) -> bytes:
    writer = NodeWriter("unembedding/")
    column = WeightReads.of_path(graph, "final_norm", "logits").columns(writer, _TOKEN)
    addition = onnx.ModelProto()
    addition.graph.node.extend(writer.nodes)
    addition.graph.node.append(helper.make_node("Identity", [column], [_COLUMN], _COLUMN))
    addition.graph.input.append(helper.make_tensor_value_info(_TOKEN, TensorProto.INT64, [1]))
    sizes: list[int | str] = [1, "hidden"]
    addition.graph.output.append(helper.make_tensor_value_info(_COLUMN, TensorProto.FLOAT, sizes))
    return bytes(addition.SerializeToString(deterministic=True))
