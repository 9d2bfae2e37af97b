"""A bundle's graph in ONNX Runtime: read from disk, with taps opened and joints closed, run without
padding and edits unless told otherwise. What the results should be, verification tells."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np
import onnx
import onnxruntime

from oriel.arrays import Array
from oriel.contract.activation_names import (
    LOGITS_START,
    NUM_LOGITS,
    ModelShape,
    TensorSpec,
    head_scale_name,
    joint_specs,
    past_name,
    present_name,
    resid_delta_name,
)
from oriel.contract.data_files import GraphKind
from oriel.errors import GraphError, OrielError, reason_of
from oriel.graph.built_graph import set_outputs
from oriel.graph.closings import close_joints
from oriel.graph.graph_in_parts import GraphInParts, runs_in_parts
from oriel.graph.taps import Tap, open_taps
from oriel.runtime.closing_slots import slot_feeds
from oriel.runtime.joint_edit import JointEdit, JointEdits

Arrays = dict[str, Array]
DTYPES = {"tensor(float)": "float32", "tensor(int64)": "int64", "tensor(bool)": "bool"}


@dataclass(frozen=True)
class SessionSettings:
    """The use that ONNX Runtime makes of the machine."""

    prepack: bool = True
    """Copy weights into the kernels' own order: faster, and twice the memory."""
    keep_memory: bool = False
    """Keep blocks that a long sequence needed for the next one."""
    threads: int = 0
    """0: as many as the processor has cores."""
    in_parts: Literal["never", "large", "always"] = "never"
    """Run a graph part by part, on the CPU: one that has more weights than are held at once, or
    any."""
    devices: tuple[onnxruntime.OrtEpDevice, ...] = ()
    """Devices of a plugin's execution provider; empty for the CPU."""
    provider: str | None = None
    """A built-in execution provider that goes before the CPU's, such as CUDA's."""

    def options(self) -> onnxruntime.SessionOptions:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.enable_cpu_mem_arena = self.keep_memory
        options.intra_op_num_threads = self.threads
        # Idle threads that spin take the processor from PyTorch, or from another session: two in
        # turns then took a third longer.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if self.devices:
            options.add_provider_for_devices(list(self.devices), {})
        if not self.prepack:
            options.add_session_config_entry("session.disable_prepacking", "1")
        return options


SPARING = SessionSettings()
"""For sessions that PyTorch runs alternately with."""


class OnnxGraph:
    """A session over a graph's bytes and the data files of its folder."""

    def __init__(
        self,
        folder: Path,
        graph: bytes,
        kind: GraphKind,
        shape: ModelShape,
        *,
        settings: SessionSettings = SPARING,
        closings: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> None:
        """closings: of an open graph's joints, in order; every other joint stays as it is."""
        self.kind, self.shape, self.closings = kind, shape, closings
        if kind in ("open", "static"):
            graph += close_joints(joint_specs(shape), closings)
        self.session = _session(graph, folder, settings)
        self.outputs = [port.name for port in self.session.get_outputs()]

    def run(
        self,
        ids: Array,
        wanted: Collection[str],
        edits: JointEdits = (),
        past: Mapping[str, Array] | None = None,
        rows: int = 0,
        mask: Array | None = None,
    ) -> Arrays:
        """Return the wanted outputs, those that the graph has, for ids (batch, seq).

        edits: in closings of the session, those of one joint in order; closings without an edit
        change nothing. rows: how many last rows
        of logits; 0 for all. mask: (batch, past + seq), 0 for padding, from whose other tokens
        positions are counted.
        """
        return self.call(wanted, self.feeds(ids, edits, past, rows, mask))

    def call(self, wanted: Collection[str], feeds: Mapping[str, Array]) -> Arrays:
        """Return the wanted outputs, those that the graph has, for its inputs by name."""
        names = [name for name in wanted if name in set(self.outputs)]
        if not names:
            return {}
        results = self.session.run(names, dict(feeds))
        return dict(zip(names, results, strict=True))

    def feeds(
        self,
        ids: Array,
        edits: JointEdits = (),
        past: Mapping[str, Array] | None = None,
        rows: int = 0,
        mask: Array | None = None,
    ) -> Arrays:
        """Return the graph's inputs for ids (batch, seq), as `run` says."""
        feeds: Arrays = {"input_ids": ids}
        if self.shape.bidirectional:
            return (
                feeds if self.kind == "plain" else feeds | self._both_ways(ids, edits, rows, mask)
            )
        if self.kind != "plain":
            feeds |= self._cache(ids.shape[0]) | dict(past or {})
        if self.kind == "interactive":
            feeds |= self._feeds_of_1(edits, rows)
        elif self.kind in ("decoder", "open"):
            total = feeds[past_name(0, "key")].shape[2] + ids.shape[1]
            seen = np.ones((len(ids), total), dtype=np.int64) if mask is None else mask
            feeds["attention_mask"] = seen
            # As transformers counts them: the first token of each text is at position 0.
            positions = np.maximum(seen.cumsum(axis=1) - 1, 0)
            feeds["position_ids"] = positions[:, -ids.shape[1] :]
            feeds[NUM_LOGITS] = np.array(rows, dtype=np.int64)
            feeds |= self.edit_feeds(edits)
        return feeds

    def _both_ways(self, ids: Array, edits: JointEdits, rows: int, mask: Array | None) -> Arrays:
        """Return the inputs beside the tokens of a graph without a cache, all of segment 0."""
        feeds: Arrays = {"attention_mask": np.ones_like(ids) if mask is None else mask}
        if not self.shape.pooled:
            feeds[NUM_LOGITS] = np.array(rows, dtype=np.int64)
        if self.shape.token_types:
            feeds["token_type_ids"] = np.zeros_like(ids)
        return feeds | self.edit_feeds(edits)

    def edit_feeds(self, edits: JointEdits) -> Arrays:
        """Return the inputs of the session's closings for these edits; all other joints stay
        unchanged."""
        return slot_feeds(self.closings, edits, self.shape)

    def _cache(self, batch: int) -> Arrays:
        shape = self.shape
        empty = np.zeros((batch, shape.kv_heads, 0, shape.head_dim), dtype=np.float32)
        layers = range(shape.layers)
        return {past_name(layer, part): empty for layer in layers for part in ("key", "value")}

    def _feeds_of_1(self, edits: JointEdits, rows: int) -> Arrays:
        """Return the inputs of contract 1.x for edits, of which it has two kinds."""
        feeds: Arrays = {LOGITS_START: np.array([-rows], dtype=np.int64)}
        for layer in range(self.shape.layers):
            feeds[head_scale_name(layer)] = np.ones(self.shape.heads, dtype=np.float32)
            feeds[resid_delta_name(layer)] = np.zeros((1, 1, self.shape.hidden), dtype=np.float32)
        for edit in edits:
            (value,) = edit.tensors.values()
            if (edit.kind, edit.closing) == ("attn_z", "scale"):
                feeds[head_scale_name(edit.layer)] = value.reshape(self.shape.heads)
            else:
                assert (edit.kind, edit.closing) == ("resid_post", "add")
                feeds[resid_delta_name(edit.layer)] = value
        return feeds

    @property
    def in_parts(self) -> bool:
        """True where each run reads the weights anew, part by part."""
        return isinstance(self.session, GraphInParts)

    def ports(self) -> tuple[list[TensorSpec], list[TensorSpec]]:
        """Return inputs and outputs as the runtime sees them."""
        session = self.session
        inputs = [*session.get_inputs(), *session.get_overridable_initializers()]
        outputs = session.get_outputs()
        return [_port(p) for p in inputs], [_port(p) for p in outputs]


def _session(
    graph: bytes, folder: Path, settings: SessionSettings
) -> onnxruntime.InferenceSession | GraphInParts:
    on_processor = settings.provider is None and not settings.devices
    if settings.in_parts != "never" and on_processor:
        model = onnx.load_model_from_string(graph)
        if settings.in_parts == "always" or runs_in_parts(model.graph):
            return GraphInParts(
                model,
                folder,
                lambda prepack: replace(settings, prepack=settings.prepack and prepack).options(),
            )
    options = settings.options()
    # A graph given as bytes has no folder: this is the folder of its data files.
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", str(folder)
    )
    providers = [] if settings.provider is None else [settings.provider]
    providers.append("CPUExecutionProvider")
    return onnxruntime.InferenceSession(
        graph, options, providers=None if settings.devices else providers
    )


@contextmanager
def runtime_errors(what: str, next_step: str) -> Iterator[None]:
    """Turn any exception inside into a GraphError of one line, "{what} by ONNX Runtime": damaged
    files raise any class of several libraries."""
    try:
        yield
    except (OrielError, MemoryError):
        raise
    except Exception as error:
        raise GraphError(
            f"{what} by ONNX Runtime", got=reason_of(error), next_step=next_step
        ) from error


def closings_of(edits: Iterable[JointEdit]) -> dict[str, list[str]]:
    """Return the closings that these edits need, by joint and in their order."""
    found: dict[str, list[str]] = {}
    for edit in edits:
        found.setdefault(edit.joint, []).append(edit.closing)
    return found


def _port(port: onnxruntime.NodeArg) -> TensorSpec:
    return TensorSpec(port.name, DTYPES.get(port.type, port.type), tuple(port.shape))


def past_from(present: Mapping[str, Array], shape: ModelShape, length: int) -> Arrays:
    """Return past_key_values.* of the first `length` tokens, from outputs that hold present.*"""
    parts: Arrays = {}
    for layer in range(shape.layers):
        for part in ("key", "value"):
            whole = present[present_name(layer, part)]
            parts[past_name(layer, part)] = whole[:, :, :length]
    return parts


def with_taps(graph: bytes, taps: Iterable[Tap]) -> bytes:
    """Return the graph with taps opened, except those whose names are outputs already."""
    model = onnx.load_model_from_string(graph)
    there = {value.name for value in model.graph.output}
    return open_taps(graph, [t for t in taps if not there & {s.name for s in t.outputs}])


def with_outputs_only(graph: bytes, outputs: Collection[TensorSpec]) -> bytes:
    """Return the graph with these outputs alone, so that no others are kept in memory."""
    model = onnx.load_model_from_string(graph)
    set_outputs(model, list(outputs))
    return bytes(model.SerializeToString())
