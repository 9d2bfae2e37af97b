"""Traced graphs, kept on disk from one export to the next.

Tracing is most of an export's time, and its result depends on the config, the architecture and the
programs that trace, and on no weight. So the graph of a config is traced once, whichever checkpoint
of it is exported next, with whichever activations and precisions. ORIEL_TRACE_CACHE names another
folder; empty, it keeps nothing.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
from contextlib import suppress
from pathlib import Path

import onnx_ir as ir
import platformdirs
from onnx import ModelProto

from oriel.graph.export_onnx import StageCallback, TracedGraph, parameters_of, trace
from oriel.models.architectures import is_built_in
from oriel.models.model_spec import ModelSpec

FOLDER = "ORIEL_TRACE_CACHE"
"""The environment variable that names the folder."""
_PACKAGES = ("torch", "transformers", "onnx", "onnx_ir", "onnxscript")
"""Their versions decide the graph."""
_SOURCES = ("capture", "contract", "graph", "models")
"""Folders of this package whose code decides the graph."""
_NOT_TRACED = ("_name_or_path", "architectures", "transformers_version")
"""Entries of a config that no model's code reads."""
_LAYERS_TRACED = "oriel.layers_traced"
_DIGEST_BYTES = 32
_LENGTH_BYTES = 8
_MOST_KEPT = 100
_MOST_BYTES = 64 * 2**20
"""Of one file, which has no weights: GPT-2 small's is 1 MB."""


def cached_trace(
    spec: ModelSpec, opset: int, on_stage: StageCallback = lambda _: None
) -> TracedGraph:
    """Return the kept graph of such a model, or trace it and keep it.

    A file that is damaged, or can't be written, costs only the tracing.
    """
    folder = _folder() if is_built_in(spec.architecture) else None
    file = None if folder is None else folder / f"{_key(spec, opset)}.graph"
    kept = None if file is None else _read(file)
    if kept is not None:
        on_stage(f"take the graph of {spec.shape.layers} layers that was traced before")
        return _unpacked(kept, spec)
    packed = _packed(trace(spec, opset, on_stage))
    if file is not None:
        with suppress(OSError):
            _write(file, packed)
    # Read from its bytes in any case: later steps name new values by what a graph was read from,
    # and a kept graph gives the same files as a new one.
    return _unpacked(packed, spec)


def _folder() -> Path | None:
    named = os.environ.get(FOLDER)
    if named is None:
        return Path(platformdirs.user_cache_dir("oriel")) / "traced_graphs"
    return Path(named) if named else None


def _key(spec: ModelSpec, opset: int) -> str:
    config = {k: v for k, v in spec.config.to_dict().items() if k not in _NOT_TRACED}
    described = {
        "config": config,
        "model_type": spec.architecture.model_type,
        "parameters": list(spec.parameters.items()),
        "opset": opset,
        "python": platform.python_version(),
        "packages": [importlib.metadata.version(name) for name in _PACKAGES],
        "sources": _digest_of_sources(),
    }
    text = json.dumps(described, sort_keys=True, default=repr)
    return hashlib.sha256(text.encode()).hexdigest()


def _digest_of_sources() -> str:
    digest = hashlib.sha256()
    package = Path(__file__).resolve().parents[1]
    for name in _SOURCES:
        for file in sorted((package / name).rglob("*.py")):
            digest.update(file.relative_to(package).as_posix().encode() + b"\0")
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


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


def _read(file: Path) -> bytes | None:
    """Return what was written; None where the file isn't there or isn't as it was written."""
    try:
        if file.stat().st_size > _MOST_BYTES:
            return None
        held = file.read_bytes()
        # The oldest unused are removed first.
        os.utime(file)
    except OSError:
        return None
    digest, packed = held[:_DIGEST_BYTES], held[_DIGEST_BYTES:]
    return packed if hashlib.sha256(packed).digest() == digest else None


def _write(file: Path, packed: bytes) -> None:
    if len(packed) + _DIGEST_BYTES > _MOST_BYTES:
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    # Another export may write the same file now: each writes its own and renames it.
    part = file.with_suffix(f".{os.getpid()}.part")
    try:
        part.write_bytes(hashlib.sha256(packed).digest() + packed)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    kept = sorted(file.parent.glob("*.graph"), key=lambda each: each.stat().st_mtime)
    for old in kept[:-_MOST_KEPT]:
        old.unlink(missing_ok=True)
