"""A bundle's graph in ONNX Runtime: read from disk, with taps opened, run with neutral
interventions unless told otherwise. What the results should be is for numeric_checks.py."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from oriel.arrays import Array
from oriel.contract.activation_names import (
    LOGITS_START,
    ModelShape,
    TensorSpec,
    head_scale_name,
    past_name,
    present_name,
    resid_delta_name,
)
from oriel.contract.data_files import GraphKind
from oriel.graph.built_graph import set_outputs
from oriel.graph.taps import Tap, open_taps
from oriel.verification.interventions import NONE, Interventions

Arrays = dict[str, Array]
DTYPES = {"tensor(float)": "float32", "tensor(int64)": "int64"}


class OnnxGraph:
    """A session over a graph's bytes and the data files of its folder."""

    def __init__(
        self,
        folder: Path,
        graph: bytes,
        kind: GraphKind,
        shape: ModelShape,
        *,
        prepack: bool = True,
    ) -> None:
        """prepack: copy weights into the kernels' own order: faster, and twice the memory."""
        self.kind, self.shape = kind, shape
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # Blocks freed after a long sequence go back to the system, not into an arena.
        options.enable_cpu_mem_arena = False
        # Idle threads that spin would take the processor from PyTorch, which runs alternately.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if not prepack:
            options.add_session_config_entry("session.disable_prepacking", "1")
        # A graph given as bytes has no folder: this is the folder of its data files.
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", str(folder)
        )
        self.session = onnxruntime.InferenceSession(
            graph, options, providers=["CPUExecutionProvider"]
        )
        self.outputs = [port.name for port in self.session.get_outputs()]

    def run(
        self,
        ids: Array,
        wanted: Collection[str],
        interventions: Interventions = NONE,
        past: Mapping[str, Array] | None = None,
        logits_start: int = 0,
    ) -> Arrays:
        """The wanted outputs, those that the graph has, for ids (batch, seq); logits from
        logits_start on."""
        names = [name for name in wanted if name in set(self.outputs)]
        feeds: Arrays = {"input_ids": ids}
        if self.kind == "interactive":
            feeds |= self._neutral(ids.shape[0])
            feeds[LOGITS_START] = np.array([logits_start], dtype=np.int64)
            feeds |= past or {}
            feeds |= {head_scale_name(i): s for i, s in interventions.head_scales.items()}
            feeds |= {resid_delta_name(i): d for i, d in interventions.resid_deltas.items()}
        results = self.session.run(names, feeds)
        return dict(zip(names, results, strict=True))

    def _neutral(self, batch: int) -> Arrays:
        shape = self.shape
        empty = np.zeros((batch, shape.kv_heads, 0, shape.head_dim), dtype=np.float32)
        feeds: Arrays = {}
        for layer in range(shape.layers):
            feeds[past_name(layer, "key")] = feeds[past_name(layer, "value")] = empty
            feeds[head_scale_name(layer)] = np.ones(shape.heads, dtype=np.float32)
            feeds[resid_delta_name(layer)] = np.zeros((1, 1, shape.hidden), dtype=np.float32)
        return feeds

    def ports(self) -> tuple[list[TensorSpec], list[TensorSpec]]:
        """Return inputs and outputs as the runtime sees them."""
        session = self.session
        inputs, outputs = session.get_inputs(), session.get_outputs()
        return [_port(p) for p in inputs], [_port(p) for p in outputs]


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
