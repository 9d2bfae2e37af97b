"""Computes a bundle's reference passes: with PyTorch and the weights that each encoding stands for
if the checkpoint is available, otherwise with each variant's own run in ONNX Runtime."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, cast

import numpy as np

from oriel.arrays import Array
from oriel.bundle.token_bytes import TokenBytes
from oriel.bundle.write_bundle import BundlePaths, describe_file
from oriel.contract.activation_names import (
    ModelShape,
    contracts_folder,
    kind_of,
)
from oriel.contract.documents import ManifestDocument, ReferencePassRecord, Variant
from oriel.contract.variant_graphs import tapped_graph
from oriel.contract.whole_text import around
from oriel.errors import BundleError, OrielError
from oriel.reference_pass.pass_file import (
    ReferencePass,
    pass_sizes,
    pass_specs,
    read_pass,
    tokens_that_fit,
    write_pass,
)
from oriel.runtime.every_activation import every_activation
from oriel.runtime.onnx_graph import SessionSettings
from oriel.runtime.weight_folders import WeightFolders
from oriel.verification.compare import allowed_scores
from oriel.verification.error_bounds import Bounds, device_bounds, of_labels

Computed = Callable[[Array, Variant], Mapping[str, Array]]
"""Computes the activations of ids (1, seq) for a variant, by contract name, in the form that
`reference_pass_of` takes."""


@dataclass(frozen=True)
class Origin:
    """Source of a reference pass, as the manifest records it."""

    reference: Literal["pytorch", "runtime"]
    runtime: str
    """Name and version of the library that computed it."""


def with_native_passes(
    folder: Path, paths: BundlePaths, data: ManifestDocument, names: Sequence[str]
) -> ManifestDocument:
    """Compute a reference pass of each named variant with ONNX Runtime, from the files in `folder`.
    Return the manifest with their records."""
    import onnxruntime

    with ExitStack() as stack:
        scratch = Path(stack.enter_context(TemporaryDirectory(prefix="oriel-pass-")))
        weights = WeightFolders(folder, scratch)

        def run(ids: Array, variant: Variant) -> Mapping[str, Array]:
            graph = (folder / tapped_graph(variant)["path"]).read_bytes()
            settings = SessionSettings(in_parts="large")
            return every_activation(variant, graph, weights.of(variant), ids, settings)

        variants = [v for v in data["variants"] if v["name"] in names]
        files = {v["name"]: paths.reference_run(v["name"]) for v in variants}
        return with_passes(
            folder, data, files, run, Origin("runtime", f"ONNX Runtime {onnxruntime.__version__}")
        )


def with_passes(
    folder: Path,
    data: ManifestDocument,
    files: Mapping[str, str],
    run: Computed,
    origin: Origin,
) -> ManifestDocument:
    """Write the passes. Return a manifest that names them.

    files: {variant: file name}; variants with the same file share one pass.
    """
    shape = ModelShape.from_json(data["model"]["shape"])
    ids = pass_ids(folder, data, tokens_that_fit(shape))
    if ids.size == 0:
        return data
    written: set[str] = set()
    passes: dict[str, ReferencePass] = {}
    variants: list[Variant] = []
    for variant in data["variants"]:
        path, bounds = (
            files.get(variant["name"]),
            device_bounds(variant["precision"], variant.get("kernels"), shape),
        )
        if path is None or bounds is None:
            variants.append(variant)
            continue
        if path not in passes:
            passes[path] = reference_pass_of(ids, run(ids, variant), shape)
        record: ReferencePassRecord = {
            "path": path,
            "reference": origin.reference,
            "runtime": origin.runtime,
            "measure": "norm" if bounds.by_norm else "largest",
            "bounds": _bounds_of(passes[path], bounds, shape),
        }
        if path not in written:
            raw = write_pass(
                passes[path],
                {
                    "variant": variant["name"],
                    "reference": origin.reference,
                    "runtime": origin.runtime,
                    "weights": data["model"]["weights_digest"],
                },
            )
            # Read each file back as a reader does, so that no unreadable file is published.
            read_pass(raw, record, shape)
            (folder / path).write_bytes(raw)
            written.add(path)
        variants.append(cast(Variant, {**variant, "reference_pass": record}))
    described = {path: describe_file(folder, path) for path in written}
    kept = [file for file in data["files"] if file["path"] not in described]
    listed = sorted([*kept, *described.values()], key=lambda file: file["path"])
    return {**data, "files": listed, "variants": variants}


def _bounds_of(found: ReferencePass, bounds: Bounds, shape: ModelShape) -> dict[str, float]:
    """Return the bound of each kind of activation on any device."""
    kinds = dict.fromkeys(kind_of(spec.name) for spec in pass_specs(shape))
    each = {kind: bounds.on_any_device(kind) for kind in kinds}
    if shape.labels:
        each["logits"] = of_labels(each["logits"], float(np.abs(found.values["logits"]).max()))
    return each


def reference_pass_of(ids: Array, found: Mapping[str, Array], shape: ModelShape) -> ReferencePass:
    """Convert a run's activations to the shapes of a reference pass. Scores may be unmasked, and
    logits may have all positions."""
    values: dict[str, Array] = {}
    for spec in pass_specs(shape):
        value = found[spec.name]
        if spec.name == "logits" and not shape.pooled:
            value = value[:, -1:]
        seen = allowed_scores(spec.name, shape, value.shape)
        if seen is not None:
            value = np.where(seen, value, np.finfo(np.float32).min)
        if value.shape != pass_sizes(spec, ids.shape[1]):
            raise BundleError(
                f"the run's {spec.name} has another shape than the contract says",
                got=str(list(value.shape)),
                expected=str(list(pass_sizes(spec, ids.shape[1]))),
                next_step="export the bundle again.",
            )
        values[spec.name] = value.astype(spec.dtype, copy=False)
    return ReferencePass(ids, values)


def pass_ids(folder: Path, data: ManifestDocument, count: int) -> Array:
    """Return the token ids of the pass, (1, seq), int64: from the page's first example text, or
    spread evenly over the vocabulary if that can't be tokenized."""
    shape = data["model"]["shape"]
    ids: list[int] = []
    if "tokenizer" in data:
        text = json.loads((contracts_folder() / "first_prompt.json").read_text(encoding="utf-8"))
        try:
            tokens = TokenBytes(folder / data["tokenizer"]["tokenizer"])
            ids = around(data, tokens.encode(text["text"]))
        except OrielError:
            # Some tokenizers can't encode English.
            ids = []
    if not ids or max(ids) >= shape["vocab"]:
        # Likewise for a model without a tokenizer: the ids are spread over the whole vocabulary.
        ids = [position * shape["vocab"] // max(count, 1) for position in range(count)]
    return np.array([ids[:count]], dtype=np.int64)
