"""Scales of the decoder graph as constants. The encoded file holds them in float16, and a Cast
widens them: ONNX Runtime computes it once, but OpenVINO takes no scales that a node gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from onnx.external_data_helper import ExternalDataInfo

from oriel.graph.built_graph import BuiltGraph

_LARGEST = 1 << 28
"""Bytes of scales in a graph's own file, of which several copies are held while it is written."""


def with_constant_scales(built: BuiltGraph, folder: Path) -> BuiltGraph:
    """Return the graph with its scales inside, in float32; the graph itself where they would be too
    many for one file. folder: holds its data file."""
    model = onnx.ModelProto()
    model.CopyFrom(built.model)
    graph = model.graph
    narrow = {
        tensor.name: tensor
        for tensor in graph.initializer
        if tensor.name.endswith("/scales") and tensor.data_type == TensorProto.FLOAT16
    }
    casts = [n for n in graph.node if n.op_type == "Cast" and n.input[0] in narrow]
    if sum(4 * int(np.prod(narrow[n.input[0]].dims)) for n in casts) > _LARGEST:
        return built
    for node in casts:
        tensor = narrow[node.input[0]]
        place = ExternalDataInfo(tensor)
        shape = tuple(tensor.dims)
        offset = int(place.offset or 0)  # type: ignore[redundant-expr]
        values = np.memmap(folder / place.location, "<f2", "r", offset, shape)
        # Under the name of what the Cast gave, which taps read too.
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float32), node.output[0]))
    done = {node.name for node in casts}
    kept = [node for node in graph.node if node.name not in done]
    del graph.node[:]
    graph.node.extend(kept)
    return BuiltGraph(model, built.document)
