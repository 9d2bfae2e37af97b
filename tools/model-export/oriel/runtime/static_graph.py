"""Runs a static graph in ONNX Runtime, with the cache that a text fills call by call."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import numpy as np

from oriel.arrays import Array
from oriel.contract.activation_names import (
    CACHE_POSITION,
    ModelShape,
    cache_output_specs,
    fixed_cache,
)
from oriel.errors import GraphError
from oriel.runtime.joint_edit import JointEdits
from oriel.runtime.onnx_graph import Arrays, OnnxGraph, closings_of


class StaticGraph:
    """A session with a fixed cache, which a batch of texts fills piece by piece."""

    def __init__(
        self, folder: Path, graph: bytes, shape: ModelShape, length: int, edits: JointEdits = ()
    ) -> None:
        """graph: with its taps appended. length: slots of its cache. edits: applied in every
        call."""
        self.length, self.shape, self.edits = length, shape, edits
        self.session = OnnxGraph(folder, graph, "static", shape, closings=closings_of(edits))
        self.outputs = self.session.outputs
        self._cache: Arrays = {}
        self._mask = np.zeros((0, length), dtype=np.int64)
        self._filled = 0

    def restart(self) -> None:
        """Start new texts. The cache keeps its contents, which are masked."""
        self._mask, self._filled = np.zeros((0, self.length), dtype=np.int64), 0

    def run(self, ids: Array, wanted: Collection[str], mask: Array | None = None) -> Arrays:
        """Run the texts' next tokens, ids (batch, seq). Return the requested outputs.

        mask: (batch, seq), 0 for padding. Attention scores and probabilities have one column for
        each slot. Raises GraphError if the tokens exceed the cache's slots; the cache is then
        unchanged.
        """
        batch, seq = ids.shape
        end = self._filled + seq
        if end > self.length:
            raise GraphError(
                "the text is longer than the static cache",
                got=f"{end} tokens",
                expected=f"at most {self.length}",
                next_step="shorten it, use the open graph, or export with a longer --static-cache.",
            )
        if self._filled == 0:
            self._mask = np.zeros((batch, self.length), dtype=np.int64)
        seen = self._mask.copy()
        seen[:, self._filled : end] = 1 if mask is None else mask
        positions = np.maximum(seen.cumsum(axis=1) - 1, 0)[:, self._filled : end]
        caches = {spec.name for spec in cache_output_specs(self.shape)}
        feeds = {
            "input_ids": ids,
            "attention_mask": seen,
            "position_ids": positions,
            CACHE_POSITION: np.arange(self._filled, end, dtype=np.int64),
            **self._past(batch),
            **self.session.edit_feeds(self.edits),
        }
        got = self.session.call([*wanted, *(caches - set(wanted))], feeds)
        self._cache = {name.replace("present", "past_key_values"): got[name] for name in caches}
        self._mask, self._filled = seen, end
        return {name: got[name] for name in wanted if name in got}

    def _past(self, batch: int) -> Arrays:
        """Return the cache: zeros before the first call or after the batch size changed."""
        if next((len(value) for value in self._cache.values()), 0) == batch:
            return self._cache
        specs = [fixed_cache(spec, self.length) for spec in cache_output_specs(self.shape)]
        return {
            spec.name.replace("present", "past_key_values"): np.zeros(
                spec.sizes(batch, 0), dtype=np.float32
            )
            for spec in specs
        }
