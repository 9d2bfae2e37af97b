"""Traced graphs, kept on disk from one export to the next.

Tracing is most of an export's time, and its result depends on the config, the architecture and the
programs that trace, and on no weight. So the graph of a config is traced once, whichever checkpoint
of it is exported next, with whichever activations and precisions. tracing/kept_graphs.py has the
files.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import onnx_ir as ir
from onnx import ModelProto

from oriel.graph.export_onnx import TracedGraph, parameters_of, trace
from oriel.models.architectures import is_built_in
from oriel.models.model_spec import ModelSpec
from oriel.stage_callback import StageCallback
from oriel.tracing.kept_graphs import kept_graph, read_kept, write_kept

_SOURCES = ("capture", "contract", "graph", "models", "tracing")
"""Folders of this package whose code decides the graph."""
_NOT_TRACED = ("_name_or_path", "architectures", "transformers_version")
"""Entries of a config that no model's code reads."""
_LAYERS_TRACED = "oriel.layers_traced"
_LENGTH_BYTES = 8


def cached_trace(
    spec: ModelSpec, opset: int, on_stage: StageCallback = lambda _: None
) -> TracedGraph:
    """Return the kept graph of such a model, or trace it and keep it.

    A file that is damaged, or can't be written, costs only the tracing.
    """
    ours = is_built_in(spec.architecture, spec.config)
    file = _place(spec, opset) if ours else None
    kept = None if file is None else read_kept(file)
    if kept is not None:
        on_stage(f"take the graph of {spec.shape.layers} layers that was traced before")
        return _unpacked(kept, spec)
    packed = _packed(trace(spec, opset, on_stage))
    if file is not None:
        with suppress(OSError):
            write_kept(file, packed)
    # Read from its bytes in any case: later steps name new values by what a graph was read from,
    # and a kept graph gives the same files as a new one.
    return _unpacked(packed, spec)


def _place(spec: ModelSpec, opset: int) -> Path | None:
    config = {k: v for k, v in spec.config.to_dict().items() if k not in _NOT_TRACED}
    decides = {
        "config": config,
        "model_type": spec.architecture.model_type,
        "model_class": spec.architecture.model_class,
        "parameters": list(spec.parameters.items()),
        "opset": opset,
    }
    return kept_graph(decides, _SOURCES)


def _packed(traced: TracedGraph) -> bytes:
    """Return the length of the decoder graph, it, and the plain graph."""
    protos = [ir.to_proto(model) for model in (traced.decoder, traced.plain)]
    entry = protos[0].metadata_props.add()
    entry.key, entry.value = _LAYERS_TRACED, str(traced.layers_traced)
    decoder: bytes
    plain: bytes
    decoder, plain = (proto.SerializeToString(deterministic=True) for proto in protos)
    return len(decoder).to_bytes(_LENGTH_BYTES, "little") + decoder + plain


def _unpacked(packed: bytes, spec: ModelSpec) -> TracedGraph:
    start = _LENGTH_BYTES
    end = start + int.from_bytes(packed[:start], "little")
    parts = (packed[start:end], packed[end:])
    decoder, plain = (ir.from_proto(ModelProto.FromString(part)) for part in parts)
    layers_traced = int(decoder.metadata_props.pop(_LAYERS_TRACED))
    return TracedGraph(decoder, plain, parameters_of(decoder, spec.shape), layers_traced)
