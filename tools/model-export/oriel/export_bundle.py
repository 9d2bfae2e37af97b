"""Runs the steps of an export in order; no other file defines that order."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from oriel.bundle.atomic_folder import replaced_folder
from oriel.bundle.compare_bundle import check_same_source, up_to_date
from oriel.bundle.kept_dashboards import keep_dashboards
from oriel.bundle.requested_bundle import RequestedBundle
from oriel.bundle.write_bundle import (
    BundlePaths,
    check_replaceable,
    describe_bundle,
    model_record,
    save_manifest,
    token_id,
    write_variant,
)
from oriel.bundle.write_weights import WrittenWeights, write_weights
from oriel.contract.activation_names import ModelShape
from oriel.contract.choose_outputs import choose_outputs
from oriel.contract.documents import ManifestDocument
from oriel.dictionaries.bundle_dictionaries import (
    add_shipped_dictionaries,
    keep_dictionaries,
)
from oriel.fidelity.gate import gate
from oriel.freed_memory import release_memory
from oriel.graph.attach_weights import WeightLayout, place_weights
from oriel.graph.graph_document import write_model_record
from oriel.graph.static_cache import check_length
from oriel.lenses.bundle_packs import add_shipped_packs, keep_packs
from oriel.models.demo.shipped_files import bundled_dictionaries, bundled_lenses
from oriel.models.find_checkpoint import find_checkpoint, with_adapter
from oriel.models.load_model import LoadedModel, load_model
from oriel.options import ExportOptions, Quantizing, check_quantizing
from oriel.precision.calibration.calibration_text import TextCalibration
from oriel.precision.make_variants import (
    VariantInputs,
    make_variants,
    provenance_records,
    recipes_for,
)
from oriel.precision.recipes.recipe import Recipe, read_recipe
from oriel.precisions import FP32, Encoding, in_order
from oriel.progress import StageDisplay
from oriel.tokenizers.checkpoint_tokenizer import CheckpointTokenizer
from oriel.tokenizers.passage_start import start_of_passages
from oriel.tokenizers.write_tokenizer import write_tokenizer

if TYPE_CHECKING:
    from oriel.graph.build_graphs import BuiltGraphs


@dataclass(frozen=True)
class Exported:
    """The bundle's folder, its model and its manifest."""

    folder: Path
    paths: BundlePaths
    model: LoadedModel
    manifest: ManifestDocument
    unchanged: bool = False
    """True if it was there already, made from the same weights with the same options."""

    @property
    def notices(self) -> tuple[str, ...]:
        """Notices about the checkpoint that the user must see, one text each."""
        note = self.model.source.note
        said = (*self.model.notices, *self.model.tokenizer.notices, *self.model.end_tokens.notices)
        return (*(() if not note else (note,)), *said)

    @property
    def graph(self) -> Path:
        return self.folder / self.paths.decoder()


@dataclass(frozen=True)
class _Plan:
    """The variants to write, and the recipes and options for them."""

    names: tuple[str, ...]
    recipes: Mapping[Encoding, Recipe]
    quantizing: Quantizing

    def text(self, model: LoadedModel) -> TextCalibration:
        """Return the text and settings for calibration, where variants need it."""
        own = model.tokenizer
        begins = token_id(model.spec.config.bos_token_id, model.shape.vocab)
        known = own if isinstance(own, CheckpointTokenizer) else None
        return TextCalibration(
            known.backend if known else None,
            start_of_passages(known.first_tokens if known else (), begins, model.end_tokens.ids),
            self.quantizing.calibration,
            self.quantizing.calibration_method,
        )


def _plan(quantizing: Quantizing, precision: Sequence[str]) -> _Plan:
    check_quantizing(quantizing, tuple(precision))
    recipe = None if quantizing.recipe is None else read_recipe(quantizing.recipe)
    names = in_order([FP32.name, *precision])
    return _Plan(names, recipes_for(names, recipe), quantizing)


def default_output(name: str) -> Path:
    """Return apps/web/static/models/<name>/model.onnx of this repository, where the page finds it;
    where the package is installed alone, models/<name>/model.onnx of the current folder."""
    page = Path(__file__).resolve().parents[3] / "apps" / "web"
    models = page / "static" / "models" if page.is_dir() else Path.cwd() / "models"
    return models / name / "model.onnx"


def chosen_outputs(options: ExportOptions, shape: ModelShape) -> list[str]:
    """Return the contract names that --layers and --activations choose; by default, the last
    layer's."""
    layers = options.layers
    if options.all_layers:
        layers = tuple(range(shape.layers))
    elif layers is None:
        layers = (shape.layers - 1,)
    return choose_outputs(shape, layers, options.activations)


def export(options: ExportOptions, display: StageDisplay) -> Exported:
    """Find, load, trace, write. Raises OrielError for whatever the user can fix."""
    plan = _plan(options, options.precision)
    display.stage("find the checkpoint")
    base = find_checkpoint(options.model, options.revision, display)
    found = with_adapter(base, options.adapter)
    paths = BundlePaths(options.output or default_output(found.name))
    old = check_replaceable(paths.folder)
    display.stage(f"read {found.name} ({found.kind})")
    model = load_model(found)
    outputs = chosen_outputs(options, model.shape)
    if options.static_cache is not None:
        check_length(options.static_cache, model.shape)
    requested = RequestedBundle(paths, model, outputs, options.opset, options.static_cache)
    display.stage("open its tokenizer")
    # A damaged tokenizer is reported before anything is traced.
    _ = model.tokenizer
    if old is not None and not options.force:
        display.stage("compare with the bundle that is there")
        asked = provenance_records(plan.names, plan.recipes, plan.text(model), model.shape)
        current = up_to_date(old, requested, asked, plan.quantizing.allow_lossy)
        if current is not None:
            return Exported(paths.folder, paths, model, current, unchanged=True)
        if options.output is None:
            check_same_source(old, paths.folder, model)

    with replaced_folder(paths.folder, lambda: check_replaceable(paths.folder)) as folder:
        manifest = _fill(folder, requested, plan, display)
    return Exported(paths.folder, paths, model, manifest)


def _fill(
    folder: Path, requested: RequestedBundle, plan: _Plan, display: StageDisplay
) -> ManifestDocument:
    """Write everything into the folder, the manifest last."""
    # Imported here because a run that only checks flags doesn't need transformers' models.
    from oriel.device.pytorch_pass import with_pytorch_passes

    paths, model = requested.paths, requested.model
    # A graph reads matrices as (in, out).
    layout = place_weights(model.spec.parameters, transposed=model.spec.linear)
    display.expect_bytes(layout.bytes)
    graphs, weights = _trace_and_write(folder, requested, layout, display)
    record = model_record(model, weights)
    for built in (graphs.plain, graphs.decoder, graphs.open):
        # Before other variants are made from these graphs: they copy the record.
        write_model_record(built.model, record)
    own = model.tokenizer
    tokenizer = write_tokenizer(own, folder) if isinstance(own, CheckpointTokenizer) else None
    for name, content in model.library_configs.items():
        (folder / name).write_bytes(content)
    float32 = write_variant(folder, paths, FP32, graphs, requested.static_cache)
    inputs = VariantInputs(
        folder,
        paths,
        graphs,
        model.shape,
        float32,
        plan.recipes,
        plan.text(model),
        requested.static_cache,
    )
    made = make_variants(inputs, plan.names, display)
    digests = {**weights.digests, **made.digests}
    data = describe_bundle(folder, record, [float32, *made.variants], tokenizer, digests)
    names = [variant["name"] for variant in made.variants]
    data = gate(folder, data, names, plan.quantizing.allow_lossy, display.stage)
    # What tracing has freed: the model's largest tensor is next.
    release_memory()
    display.stage("compute what other devices must give")
    data = with_pytorch_passes(folder, paths, data, model)
    display.stage("write the manifest")
    # Making them took long, and they may be nowhere else.
    keep_packs(folder, data, paths.folder)
    keep_dictionaries(folder, data, paths.folder)
    # After the kept ones: what is the user's stays, where it has a shipped one's name.
    add_shipped_packs(folder, data, bundled_lenses(model.source.folder))
    add_shipped_dictionaries(folder, data, bundled_dictionaries(model.source.folder))
    keep_dashboards(folder, data, paths.folder)
    save_manifest(folder, data)
    return data


def _trace_and_write(
    folder: Path, requested: RequestedBundle, layout: WeightLayout, display: StageDisplay
) -> tuple[BuiltGraphs, WrittenWeights]:
    """Return the float32 graphs, and the weights file that was written meanwhile."""
    # Imported here so that a run that only checks flags needn't load torch's exporter.
    from oriel.graph.build_graphs import build_graphs
    from oriel.graph.trace_cache import cached_trace

    paths, model = requested.paths, requested.model
    data_file = folder / paths.weights()
    stopped = threading.Event()

    def count(written: int) -> None:
        if stopped.is_set():
            raise CancelledError
        display.add_bytes(written)

    # Weights are written while the graph is traced: one waits for the disk, the other for Python.
    with ThreadPoolExecutor(1) as pool, _shared_interpreter():
        writing = pool.submit(write_weights, model.checkpoint, layout, data_file, count)

        def stage(text: str) -> None:
            # A full disk is reported at once, not after the tracing.
            if writing.done():
                writing.result()
            display.stage(text)

        try:
            traced = cached_trace(model.spec, requested.opset, stage)
            names, data = requested.outputs, paths.weights()
            graphs = build_graphs(traced, model.shape, layout, names, data, stage)
        except BaseException:
            # Leaving the block waits for the writer, which would otherwise write to the end.
            stopped.set()
            raise
        return graphs, writing.result()


@contextmanager
def _shared_interpreter() -> Iterator[None]:
    """Let the writer have the interpreter at once: by default it waits 5 ms for each tensor and
    chunk, which adds up to more than the writing itself."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(0.0002)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
