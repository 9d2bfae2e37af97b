"""Statistics, on real text, of the activations that a model multiplies by its matrices: their
ranges for static quantization, and their second moments for the kinds of rounding that use them.
calibration_text.py chooses the text."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper

from oriel.arrays import Array
from oriel.bundle.passages import Passages
from oriel.contract.activation_names import (
    ModelShape,
    past_name,
)
from oriel.contract.documents import CalibrationRecord
from oriel.errors import GraphError
from oriel.graph.build_graphs import BuiltGraphs
from oriel.graph.graph_in_parts import GraphInParts, runs_in_parts
from oriel.precision.calibration.moment_files import MomentFiles
from oriel.precision.recipes.weight_uses import weight_uses
from oriel.precision.rounding.gptq import Moment, part_bounds
from oriel.precisions import CalibrationMethod

RangeMethod = CalibrationMethod
Floats = NDArray[np.float32]

_AT_ONCE = 192
"""Number of positions to gather before they are summed: one product of large matrices instead of
many of small ones."""


@dataclass(frozen=True)
class ActivationRanges:
    """The lowest and highest value that each tensor is taken to have."""

    method: RangeMethod
    ranges: Mapping[str, tuple[float, float]]
    """By the name, in the decoder graph, of the tensor that a MatMul multiplies by a weight."""


@dataclass(frozen=True)
class InputMoments:
    """Mean over positions of x xᵀ, for each x that a MatMul multiplies by a weight."""

    moments: Mapping[str, tuple[Moment, ...]]
    """By the name of the tensor, in parts that together are its last axis."""

    def of(self, factors: tuple[str, ...]) -> tuple[Moment, ...] | None:
        """Return the moments for a weight that these tensors are multiplied by; None where there
        are none."""
        known = [self.moments[name] for name in factors if name in self.moments]
        return tuple(map(_sum, zip(*known, strict=True))) if known else None


def _sum(parts: tuple[Moment, ...]) -> Moment:
    if len(parts) == 1:
        return parts[0]
    return Moment(parts[0].start, np.sum([part.matrix for part in parts], axis=0))


@dataclass(frozen=True)
class Calibration:
    """The statistics that were gathered, and the manifest's record of the text they were gathered
    on."""

    ranges: ActivationRanges | None
    moments: InputMoments | None
    record: CalibrationRecord


def calibrate(
    folder: Path,
    graphs: BuiltGraphs,
    shape: ModelShape,
    passages: Passages,
    method: RangeMethod | None,
    moments: bool,
) -> Calibration:
    """Run the float32 decoder graph, whose weights lie in `folder`, on each passage.

    method: how ranges are determined; None for no ranges. moments: True to gather second moments.
    """
    feeds = _decoder_feeds(shape, passages)
    return calibrate_on(folder, graphs.decoder.model, feeds, passages, method, moments)


def calibrate_on(
    folder: Path,
    model: onnx.ModelProto,
    feeds: Iterable[Mapping[str, Array]],
    passages: Passages,
    method: RangeMethod | None,
    moments: bool,
) -> Calibration:
    """Run any float32 graph, whose weights lie in `folder`, as calibrate does. feeds: its inputs
    for each passage; those that it doesn't have are left out."""
    ranges = None if method is None else _ranges(method)
    seconds = _Moments(runs_in_parts(model.graph)) if moments else None
    for group in _factors(folder, model, feeds):
        for name, rows in _gathered(group):
            if ranges is not None:
                ranges.add(name, rows)
            if seconds is not None:
                seconds.add(name, rows)
        if seconds is not None:
            seconds.finish_group()
    record: CalibrationRecord = {"text": passages.to_json()}
    if method is not None:
        record["method"] = method
    return Calibration(
        None if ranges is None or method is None else ActivationRanges(method, ranges.result()),
        None if seconds is None else InputMoments(seconds.result()),
        record,
    )


def _decoder_feeds(shape: ModelShape, passages: Passages) -> Iterator[dict[str, Array]]:
    empty = {} if shape.bidirectional else _empty_cache(shape)
    for ids in passages.ids:
        tokens = ids[None].astype(np.int64)
        yield {
            **empty,
            "input_ids": tokens,
            "attention_mask": np.ones_like(tokens),
            "position_ids": np.arange(len(ids))[None],
            "token_type_ids": np.zeros_like(tokens),
        }


def _factors(
    folder: Path, model: onnx.ModelProto, every: Iterable[Mapping[str, Array]]
) -> Iterator[Iterator[dict[str, Floats]]]:
    """Yield groups of the tensors that are multiplied by matrices, (positions, summed) each, for
    every passage: all in one group, or those of each part where the model is run in parts.
    GraphError where one isn't finite."""
    uses = weight_uses(model.graph).values()
    names = list(dict.fromkeys(name for use in uses for name in use.factors))
    cut = _cut_to(model, names)
    if runs_in_parts(cut.graph):
        given = {port.name for port in cut.graph.input}
        fed = [{k: v for k, v in feeds.items() if k in given} for feeds in every]
        for found in GraphInParts(cut, folder, lambda _: _options()).run_all(names, fed):
            if found[0]:
                yield map(_as_rows, found)
        return
    yield _in_one(cut, folder, names, every)


def _in_one(
    cut: onnx.ModelProto, folder: Path, names: list[str], every: Iterable[Mapping[str, Array]]
) -> Iterator[dict[str, Floats]]:
    options = _options()
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", str(folder)
    )
    session = onnxruntime.InferenceSession(
        cut.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    given = {port.name for port in session.get_inputs()}
    for feeds in every:
        results = session.run(names, {k: v for k, v in feeds.items() if k in given})
        yield _as_rows(dict(zip(names, results, strict=True)))


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = False
    # Sums are computed between runs: threads that wait actively for the next run would slow them
    # down.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Weights are used where they are mapped instead of being copied into another order.
    options.add_session_config_entry("session.disable_prepacking", "1")
    return options


def _as_rows(found: Mapping[str, Array]) -> dict[str, Floats]:
    rows = {name: values.reshape(-1, values.shape[-1]) for name, values in found.items()}
    for name, values in rows.items():
        if not np.isfinite(values).all():
            raise GraphError(
                "the model computes NaN or infinity on the calibration text",
                got=f"{name} of the float32 graph",
                next_step="check the checkpoint with oriel verify.",
            )
    return rows


def _cut_to(model: onnx.ModelProto, names: list[str]) -> onnx.ModelProto:
    """Return the graph that gives these tensors, without the nodes that none of them needs: ONNX
    Runtime would compute those too, such as the unembedding."""
    cut = onnx.ModelProto()
    cut.CopyFrom(model)
    needed = set(names)
    kept: list[onnx.NodeProto] = []
    for node in reversed(model.graph.node):
        if needed & set(node.output):
            kept.append(node)
            needed |= set(node.input)
    del cut.graph.node[:], cut.graph.initializer[:], cut.graph.output[:]
    cut.graph.node.extend(reversed(kept))
    cut.graph.initializer.extend(t for t in model.graph.initializer if t.name in needed)
    cut.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names
    )
    return cut


def _empty_cache(shape: ModelShape) -> dict[str, Array]:
    empty = np.zeros((1, shape.kv_heads, 0, shape.head_dim), dtype=np.float32)
    layers = range(shape.layers)
    return {past_name(layer, part): empty for layer in layers for part in ("key", "value")}


def _gathered(passages: Iterator[dict[str, Floats]]) -> Iterator[tuple[str, Floats]]:
    """Yield each tensor with its name, of passages joined until they have enough positions for one
    large product."""
    waiting: list[dict[str, Floats]] = []
    positions = 0

    def joined() -> Iterator[tuple[str, Floats]]:
        for name in waiting[0]:
            yield name, np.concatenate([rows[name] for rows in waiting])

    for rows in passages:
        waiting.append(rows)
        positions += len(next(iter(rows.values())))
        if positions >= _AT_ONCE:
            yield from joined()
            waiting, positions = [], 0
    if waiting:
        yield from joined()


class _Moments:
    """Second moments, summed passage by passage. With `on_disk`, those of finished groups wait in a
    temporary file each: together they are a fifth of a large model."""

    def __init__(self, on_disk: bool) -> None:
        self.sums: dict[str, tuple[Moment, ...]] = {}
        self.positions: dict[str, int] = {}
        self.kept = MomentFiles() if on_disk else None

    def add(self, name: str, rows: Floats) -> None:
        if name not in self.sums:
            self.sums[name] = tuple(
                Moment(start, np.zeros((stop - start, stop - start), np.float32))
                for start, stop in part_bounds(rows.shape[-1])
            )
        for moment in self.sums[name]:
            part = rows[:, moment.start : moment.start + len(moment.matrix)]
            # Both factors are one array, for which BLAS computes one triangle only.
            moment.matrix[...] += part.T @ part
        self.positions[name] = self.positions.get(name, 0) + len(rows)

    def finish_group(self) -> None:
        """Turn sums into means, since nothing is added to these names any more."""
        for name, parts in self.sums.items():
            for moment in parts:
                moment.matrix[...] /= self.positions[name]
        if self.kept is not None:
            for name, parts in self.sums.items():
                self.kept.put(name, parts)
            self.sums = {}

    def result(self) -> Mapping[str, tuple[Moment, ...]]:
        return self.sums if self.kept is None else self.kept


class _Ranges(Protocol):
    def add(self, name: str, rows: Floats) -> None: ...
    def result(self) -> dict[str, tuple[float, float]]: ...


class _MinMax:
    """The whole range that was seen, which ONNX Runtime's MinMaxCalibrater computes with added
    nodes."""

    def __init__(self) -> None:
        self.found: dict[str, tuple[float, float]] = {}

    def add(self, name: str, rows: Floats) -> None:
        low, high = self.found.get(name, (np.inf, -np.inf))
        self.found[name] = min(low, float(rows.min())), max(high, float(rows.max()))

    def result(self) -> dict[str, tuple[float, float]]:
        return self.found


class _Histogram:
    """ONNX Runtime's own collector, with the settings of its calibrators."""

    def __init__(self, method: str, bins: int) -> None:
        from onnxruntime.quantization.calibrate import HistogramCollector

        self.collector = HistogramCollector(
            method=method,
            symmetric=False,
            num_bins=bins,
            num_quantized_bins=128,
            percentile=99.999,
            scenario="same",
        )

    def add(self, name: str, rows: Floats) -> None:
        # The collector prints its progress.
        with redirect_stdout(io.StringIO()):
            self.collector.collect({name: rows})

    def result(self) -> dict[str, tuple[float, float]]:
        with redirect_stdout(io.StringIO()):
            found = self.collector.compute_collection_result()
        return {name: (float(values[0]), float(values[1])) for name, values in found.items()}


def _ranges(method: RangeMethod) -> _Ranges:
    if method == "minmax":
        return _MinMax()
    return _Histogram(method, 128 if method == "entropy" else 2048)
