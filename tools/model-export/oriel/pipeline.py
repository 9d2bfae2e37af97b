"""The order of an export: the only file that knows it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oriel.bundle.atomic_folder import replaced_folder
from oriel.bundle.write_bundle import (
    BundlePaths,
    check_replaceable,
    copy_tokenizer,
    write_manifest,
    write_variant,
)
from oriel.bundle.write_weights import checkpoint_digest, write_weights
from oriel.contract.activation_names import ModelShape, contract_version
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
    """apps/web/static/models/<name>/model.onnx of this repository."""
    root = Path(__file__).resolve().parents[3]
    return root / "apps" / "web" / "static" / "models" / name / "model.onnx"


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
    found = find_checkpoint(options.model, options.revision)
    paths = BundlePaths(options.output or default_output(found.name))
    old = check_replaceable(paths.folder)
    display.stage(f"read {found.name} ({found.kind})")
    model = load_model(found)
    outputs = chosen_outputs(options, model.shape)
    if old is not None and not options.force and _is_same(old, model, outputs, options, paths):
        return Exported(paths.folder, paths, model, dict(old), unchanged=True)

    with replaced_folder(paths.folder) as folder:
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
    from oriel.graph.export_onnx import DEFAULT_OPSET, trace
    from oriel.models.parameters import shapeless_model

    a = model.architecture
    empty = shapeless_model(model.config, a)
    parameters = {name: tuple(p.shape) for name, p in empty.named_parameters()}
    changes = make_matrices_plain(empty, a.token_embedding, a.unembedding)
    layout = place_weights(parameters, changes.transposed)
    display.expect_bytes(layout.bytes)
    data_file = folder / paths.weights()
    # Weights flow to disk while the graph is traced: one waits for the disk, the other for Python.
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write_weights, model.checkpoint, layout, data_file, display.add_bytes)
        try:
            opset = options.opset or DEFAULT_OPSET
            traced = trace(model.config, model.architecture, model.shape, opset, display.stage)
            graphs = build_graphs(
                traced, model.shape, parameters, outputs, paths.weights(), display.stage
            )
            assert graphs.layout == layout, "the graph reads weights that lie elsewhere"
        finally:
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


def _is_same(
    old: Any, model: LoadedModel, outputs: list[str], options: ExportOptions, paths: BundlePaths
) -> bool:
    """Whether the bundle there was made of these weights, by this exporter, with these options."""
    import oriel

    try:
        variants = {v["name"]: v for v in old["variants"]}
        plain = variants["fp32"]["plain"]
        names = [o["name"] for o in plain["activations"]["outputs"]]
        same = (
            old["exporter"]["version"] == oriel.__version__
            and old["contract_version"] == contract_version()
            and plain["path"] == paths.plain()
            and set(variants) == {"fp32", *options.precision}
            and names == ["logits", *outputs]
            and (options.opset is None or variants["fp32"]["opset"] == options.opset)
            and all(
                (paths.folder / f["path"]).is_file()
                and (paths.folder / f["path"]).stat().st_size == f["bytes"]
                for f in old["files"]
            )
        )
    except (KeyError, TypeError):
        return False
    return same and bool(old["model"]["weights_digest"] == checkpoint_digest(model.checkpoint))
