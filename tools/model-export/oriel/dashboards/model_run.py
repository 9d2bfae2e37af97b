"""A bundle's variant as a session that computes the wanted activations and nothing else, on a GPU
where ONNX Runtime finds one. Needs no PyTorch."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import onnxruntime

from oriel.arrays import Array
from oriel.contract.activation_names import activation_spec
from oriel.contract.dictionaries import features_spec
from oriel.contract.manifest import Manifest
from oriel.contract.variant_graphs import tapped_graph
from oriel.dashboards.units import UnitGroup, dictionaries_of
from oriel.dictionaries.listed_dictionary import check_dictionary
from oriel.errors import OptionError
from oriel.runtime.onnx_graph import (
    OnnxGraph,
    SessionSettings,
    runtime_errors,
    with_outputs_only,
    with_taps,
)
from oriel.runtime.weight_folders import WeightFolders, choose_variant, taps_for

_BATCH_BYTES = 32 << 20
"""Bytes of the values that one batch gives, about: small enough for a processor's cache to help."""
_GPU = "CUDAExecutionProvider"
_MOST_RUNS = 4
"""Batches that run at once at most: reducing has one core, and falls behind where more run."""


class ModelRun:
    """Runs batches of contexts of one length. Threads may run several batches at once: two with a
    core each take less time than one after the other with both, since no thread waits for another
    at every operator."""

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        groups: Sequence[UnitGroup],
        variant: str | None = None,
        threads: int = 0,
        runs: int | None = None,
    ) -> None:
        """threads: processor cores to use; 0 for as many as there are. runs: batches that are to
        run at once, which share the cores; None for as many as are useful.

        Raises OptionError for a variant that isn't there and for a bundle of contract 1.x,
        BundleError for a dictionary whose file isn't the manifest's, GraphError where ONNX Runtime
        can't open the graph.
        """
        record = choose_variant(manifest.variants, variant)
        if "open" not in record:
            raise OptionError(
                "the bundle keeps an earlier contract",
                got=manifest.data["contract_version"],
                next_step="export the model again.",
            )
        self.names = [group.activation for group in groups]
        shape = manifest.shape
        specs = [spec for name in self.names if (spec := activation_spec(name, shape))]
        dictionaries = dictionaries_of(groups, manifest.data)
        for each in dictionaries:
            check_dictionary(folder, manifest.data, each)
            specs.append(features_spec(each["name"], each["description"]["features"]))
        self.provider = _GPU if _GPU in onnxruntime.get_available_providers() else None
        cores = threads or os.cpu_count() or 1
        self.runs = runs or (1 if self.provider else min(cores, _MOST_RUNS))
        """Batches that are to run at once."""
        self.has_other_core = cores > 1
        """False where the processor has nothing to do beside a run but that run."""
        next_step = "run `oriel verify` on it, or export it again."
        self._errors = f"{folder} can't be run", next_step
        self._scratch = TemporaryDirectory(prefix="oriel-dashboards-")
        with runtime_errors(f"{folder} can't be opened", next_step):
            beside = [each["path"] for each in dictionaries]
            weights = WeightFolders(folder, Path(self._scratch.name)).of(record, beside)
            graph = (folder / tapped_graph(record)["path"]).read_bytes()
            taps = taps_for(record, self.names, None, dictionaries)
            graph = with_outputs_only(with_taps(graph, taps), specs)
            self._graph = OnnxGraph(
                weights,
                graph,
                "open",
                shape,
                settings=SessionSettings(
                    keep_memory=True,
                    threads=max(1, cores // self.runs),
                    provider=self.provider,
                ),
            )
        # The session has the weights. Ray kills its workers, and a killed process removes nothing.
        # Windows keeps files in use until this object is gone.
        shutil.rmtree(self._scratch.name, ignore_errors=True)

    def __call__(self, ids: Array) -> Mapping[str, Array]:
        """Return the activations by name for ids (batch, seq). Raises GraphError."""
        with runtime_errors(*self._errors):
            return self._graph.call(self.names, self._graph.feeds(ids, rows=1))


def batch_rows(groups: Sequence[UnitGroup], length: int) -> int:
    """Return how many contexts of a length to run at a time."""
    return max(1, _BATCH_BYTES // (4 * length * sum(group.count for group in groups)))
