"""The order of an export: the only file that knows it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oriel.bundle.atomic_folder import replaced_folder
from oriel.bundle.compare_bundle import is_up_to_date
from oriel.bundle.write_bundle import (
    BundlePaths,
    check_replaceable,
    copy_tokenizer,
    write_manifest,
    write_variant,
)
from oriel.bundle.write_weights import write_weights
from oriel.contract.activation_names import ModelShape
from oriel.contract.choose_outputs import choose_outputs
from oriel.graph.attach_weights import place_weights
from oriel.models.find_checkpoint import find_checkpoint
from oriel.models.load_model import LoadedModel, load_model
from oriel.options import ExportOptions
from oriel.progress import StageDisplay


@dataclass(frozen=True)
class Exported:
    """Where the bundle is, and what its manifest says."""

    folder: Path
    paths: BundlePaths
    model: LoadedModel
    manifest: dict[str, Any]
    unchanged: bool = False
    """It stood there already, made of the same weights with the same options."""

    @property
    def graph(self) -> Path:
        return self.folder / self.paths.plain()


def default_output(name: str) -> Path:
    """apps/web/static/models/<name>/model.onnx of this repository, where the page finds it; where
    the package is installed alone, models/<name>/model.onnx of the current folder."""
    page = Path(__file__).resolve().parents[3] / "apps" / "web"
    models = page / "static" / "models" if page.is_dir() else Path.cwd() / "models"
    return models / name / "model.onnx"


def chosen_outputs(options: ExportOptions, shape: ModelShape) -> list[str]:
    """Contract names that --layers and --activations choose; by default, the last layer's."""
    layers = options.layers
    if options.all_layers:
        layers = tuple(range(shape.layers))
    elif layers is None:
        layers = (shape.layers - 1,)
    return choose_outputs(shape, layers, options.activations)


def export(options: ExportOptions, display: StageDisplay) -> Exported:
    """Find, load, trace, write. Raises OrielError for whatever the user can mend."""
    display.stage("find the checkpoint")
    found = find_checkpoint(options.model, options.revision, display)
    paths = BundlePaths(options.output or default_output(found.name))
    old = check_replaceable(paths.folder)
    display.stage(f"read {found.name} ({found.kind})")
    model = load_model(found)
    outputs = chosen_outputs(options, model.shape)
    if old is not None and not options.force:
        display.stage("compare with the bundle that is there")
        variants = tuple(dict.fromkeys(("fp32", *options.precision)))
        if is_up_to_date(old, paths, model, outputs, options.opset, variants):
            return Exported(paths.folder, paths, model, dict(old), unchanged=True)

    with replaced_folder(paths.folder, lambda: check_replaceable(paths.folder)) as folder:
        manifest = _fill(folder, paths, model, outputs, options, display)
    return Exported(paths.folder, paths, model, manifest)


def _fill(
    folder: Path,
    paths: BundlePaths,
    model: LoadedModel,
    outputs: list[str],
    options: ExportOptions,
    display: StageDisplay,
) -> dict[str, Any]:
    # Imported here: a run that only looks at flags shouldn't wait for torch's exporter.
    from oriel.capture.plain_matrices import make_matrices_plain
    from oriel.graph.build_graphs import build_graphs
    from oriel.graph.export_onnx import trace
    from oriel.models.parameters import shapeless_model

    a = model.architecture
    empty = shapeless_model(model.config, a)
    parameters = {name: tuple(p.shape) for name, p in empty.named_parameters()}
    changes = make_matrices_plain(empty, a.token_embedding, a.unembedding)
    layout = place_weights(parameters, changes.transposed)
    display.expect_bytes(layout.bytes)
    data_file = folder / paths.weights()
    stopped = threading.Event()

    def count(written: int) -> None:
        if stopped.is_set():
            raise CancelledError
        display.add_bytes(written)

    # Weights flow to disk while the graph is traced: one waits for the disk, the other for Python.
    with ThreadPoolExecutor(1) as pool, _shared_interpreter():
        writing = pool.submit(write_weights, model.checkpoint, layout, data_file, count)

        def stage(text: str) -> None:
            # A full disk is told at once, not after the tracing.
            if writing.done():
                writing.result()
            display.stage(text)

        try:
            traced = trace(model.config, model.architecture, model.shape, options.opset, stage)
            graphs = build_graphs(traced, model.shape, parameters, outputs, paths.weights(), stage)
            assert graphs.layout == layout, "the graph reads weights that lie elsewhere"
        except BaseException:
            # Leaving waits for the writer, which would go on to the end.
            stopped.set()
            raise
        weights = writing.result()
    variants = [write_variant(folder, paths, "fp32", graphs)]
    digests = {paths.weights(): weights.digest}
    if "fp16" in options.precision:
        from oriel.precision.to_fp16 import write_fp16

        display.stage("convert to fp16")
        variants.append(write_fp16(folder, paths, graphs, model.shape))
    display.stage("write the manifest")
    tokenizer = copy_tokenizer(model, folder)
    return write_manifest(folder, model, weights, variants, tokenizer, digests)


@contextmanager
def _shared_interpreter() -> Iterator[None]:
    """Let the writer have the interpreter when it asks: by default it waits 5 ms for each tensor
    and each chunk, which adds up to more than the writing itself."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(0.0002)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
