"""Runs a variant of a bundle in ONNX Runtime, whatever its weights' encoding: weights that readers
expand are expanded here, once for each encoding, into a temporary folder."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from oriel.arrays import Array
from oriel.contract.activation_names import ModelShape
from oriel.contract.documents import FileDescriptor, Variant
from oriel.contract.variant_graphs import cached_graph, tapped_graph
from oriel.errors import BundleError, GraphError
from oriel.runtime.onnx_graph import Arrays, OnnxGraph, SessionSettings, runtime_errors, with_taps
from oriel.runtime.weight_folders import WeightFolders, taps_for

Ids = npt.NDArray[np.int64]

_FLOAT_KERNELS = ("fp32", "fp16")


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Yield a temporary folder; a full disk becomes an error of one line."""
    try:
        with tempfile.TemporaryDirectory(prefix="oriel-fidelity-") as name:
            yield Path(name)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise
        raise BundleError(
            "no space left to expand and compare",
            got=f"{error.strerror} in {tempfile.gettempdir()}",
            next_step="free some, or set TMPDIR to a folder with space for the float32 weights.",
        ) from error


class VariantRun:
    """A variant's graph with a cache, opened as it is or with taps."""

    def __init__(
        self,
        variant: Variant,
        shape: ModelShape,
        folders: WeightFolders,
        tapped: Collection[str] = (),
    ) -> None:
        self.name = str(variant["name"])
        kind, record = cached_graph(variant)
        path = record["path"]
        try:
            weights = folders.of(variant)
            graph = (folders.bundle / path).read_bytes()
        except FileNotFoundError as error:
            raise BundleError(
                f"{self.name} lacks a file",
                got=f"no {Path(error.filename).name}",
                next_step="export the bundle again.",
            ) from error
        with self._errors_in_one_line("opened"):
            graph = with_taps(graph, taps_for(variant, tapped))
            # float32 weights are mapped from their file; repacking would copy all of them.
            prepack = variant.get("kernels") not in _FLOAT_KERNELS
            settings = SessionSettings(prepack=prepack, in_parts="large")
            self.graph = OnnxGraph(weights, graph, kind, shape, settings=settings)

    def run(
        self, ids: Ids, names: Sequence[str], past: Mapping[str, Array] | None = None
    ) -> Arrays:
        """Return the named outputs for ids (batch, seq). Raises GraphError where one is missing or
        holds NaN or infinity: such a variant isn't lossy but broken."""
        with self._errors_in_one_line("run"):
            found = self.graph.run(ids, names, past=past)
        for name in names:
            if name not in found:
                raise GraphError(
                    f"{self.name} doesn't give {name}",
                    expected="a tap for it, or an output",
                    next_step="export the bundle again.",
                )
            # NaN and infinity both reach the sum: one pass, without an array of booleans.
            if not np.isfinite(found[name].sum(dtype=np.float64)):
                raise GraphError(
                    f"{self.name} computes NaN or infinity",
                    got=name,
                    expected="finite numbers",
                    next_step="leave this variant out, or use another recipe.",
                )
        return found

    def _errors_in_one_line(self, done: str) -> AbstractContextManager[None]:
        return runtime_errors(f"{self.name} can't be {done}", "export the bundle again.")


def sent_bytes(variant: Variant, files: Sequence[FileDescriptor]) -> int:
    """Return the bytes that opening the variant on the page downloads: its weights and the graph
    that taps are made for."""
    wanted = {*variant["weights"], tapped_graph(variant)["path"]}
    return sum(int(f["bytes"]) for f in files if f["path"] in wanted)
