"""Verification of a bundle on disk against its checkpoint: one function, for verify.py and for
export.py --verify. The order is here; what is checked is in checks.py, tokenizer_checks.py,
weight_checks.py and numeric_checks.py.

Weights in few bits are held to the checkpoint as near as their bits allow; what the graphs compute
with them is then held to PyTorch computing with what they stand for. How far that is from the model
itself is fidelity's to say."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np

import oriel
from oriel.arrays import Array
from oriel.bundle.write_weights import checkpoint_digest
from oriel.checkpoints.tensors import StoredTensors
from oriel.contract.data_files import GraphKind
from oriel.contract.documents import Variant
from oriel.contract.manifest import MANIFEST, Manifest, bundle_folder, read_manifest
from oriel.contract.variant_graphs import cached_graph, graphs_of, tapped_graph
from oriel.errors import CheckpointError, ContractError, GraphError
from oriel.graph.attribution import AttributionTaps
from oriel.graph.taps import Tap
from oriel.models.find_checkpoint import DEMO, find_checkpoint, local_gpt2_folder
from oriel.models.load_model import LoadedModel, load_model
from oriel.precisions import CUSTOM_RECIPE_ENCODINGS, FP32, QUANTIZED_KERNELS
from oriel.verification import checks
from oriel.verification.attribution_checks import CHECK as ATTRIBUTION
from oriel.verification.attribution_checks import check_attribution
from oriel.verification.cases import ELEMENTS, OWN_TEXT, text_ids
from oriel.verification.dictionary_checks import check_dictionaries, check_dictionary_files
from oriel.verification.error_bounds import model_bounds
from oriel.verification.layer_checks import LayerReference, check_layers, fits_in_memory
from oriel.verification.lens_pack_checks import check_lens_packs, check_pack_files
from oriel.verification.numeric_checks import check_numbers
from oriel.verification.opened_variant import OpenedVariant, opened_variant
from oriel.verification.product_checks import CHECK, check_every_product
from oriel.verification.reference_cases import SEED, ReferenceCases, check_reference
from oriel.verification.report import (
    Check,
    Findings,
    Report,
    VariantReport,
)
from oriel.verification.run_reference import Reference
from oriel.verification.stored_pass_checks import check_stored_pass
from oriel.verification.stored_weights import from_expansion, from_graph
from oriel.verification.tokenizer_checks import check_tokenizer
from oriel.verification.variant_comparison import VariantComparison
from oriel.verification.weight_checks import compare_weights

_LIBRARIES = ("torch", "transformers", "onnx", "onnxruntime", "numpy")


def verify(
    graph_path: Path,
    model: LoadedModel | Path | None = None,
    on_stage: Callable[[str], None] = lambda _: None,
    budget: int = ELEMENTS,
    by_layers: bool = False,
) -> Report:
    """Check every variant of the bundle that `graph_path` (its graph, or its folder) belongs to.

    model: the checkpoint, opened or as a folder; None for the source that the manifest names.
    budget: most numbers compared in one run; it limits memory, and so the longest text. by_layers:
    True to run each layer by itself, as is done with what doesn't fit this machine's memory.
    Damage becomes failed checks. Raises OrielError only where there is no bundle or no checkpoint.
    """
    start = time.monotonic()
    folder = bundle_folder(graph_path)
    findings = Findings()
    try:
        manifest = read_manifest(folder)
    except ContractError as error:
        findings.failed("manifest", str(error))
        return Report(folder.name, None, _all(findings), (), _versions(), SEED, _since(start))
    findings.passed("manifest", "keeps its schema")
    _check_belongs(graph_path, manifest)
    loaded = model if isinstance(model, LoadedModel) else find_reference(manifest, model)
    on_stage("hash files and weights")
    checks.check_files(manifest, folder, findings)
    digest = checkpoint_digest(loaded.checkpoint)
    said = manifest.data["model"]["weights_digest"]
    problems = [] if digest == said else [f"checkpoint {digest[:17]}…, manifest {said[:17]}…"]
    findings.differences("weights_digest", problems, f"{digest[:17]}…")
    check_pack_files(manifest, folder, findings)
    check_dictionary_files(manifest, folder, findings)
    on_stage("compare the tokenizers")
    check_tokenizer(manifest, folder, loaded, findings)
    variants: list[VariantReport] = []
    if not _same_shape(loaded, manifest):
        findings.failed("model_shape", _shape_difference(loaded, manifest))
    else:
        findings.passed("model_shape", f"{manifest.data['model']['parameters']:,} parameters")
        by_layers = by_layers or not fits_in_memory(loaded.checkpoint.parameters)
        variants = (
            _by_layers(manifest, folder, loaded, budget, on_stage)
            if by_layers
            else _as_whole(manifest, folder, loaded, budget, on_stage)
        )
    name = manifest.data["model"]["name"]
    return Report(
        name,
        digest,
        _all(findings),
        tuple(variants),
        _versions(),
        SEED,
        _since(start),
        manifest,
        loaded,
        by_layers,
    )


def _as_whole(
    manifest: Manifest,
    folder: Path,
    loaded: LoadedModel,
    budget: int,
    on_stage: Callable[[str], None],
) -> list[VariantReport]:
    on_stage("load the checkpoint into PyTorch")
    references = _References(loaded, budget)
    found = {
        variant["name"]: _verify_variant(variant, manifest, folder, references, on_stage)
        # Sorted by encoding, so that PyTorch loads the weights of each only once.
        for variant in sorted(manifest.variants, key=lambda v: str(v.get("encoding")))
    }
    return [found[variant["name"]] for variant in manifest.variants]


def _by_layers(
    manifest: Manifest,
    folder: Path,
    loaded: LoadedModel,
    budget: int,
    on_stage: Callable[[str], None],
) -> list[VariantReport]:
    reports = []
    for variant in manifest.variants:
        name, findings = variant["name"], Findings()
        bounds = model_bounds(variant["precision"], manifest.shape)
        if bounds is None:
            findings.failed("bounds", f"none are set for {variant['precision']}")
            reports.append(VariantReport(name, variant["precision"], _all(findings), ()))
            continue
        on_stage(f"check the files of {name}")
        with opened_variant(folder, variant, findings) as opened:
            graphs = _graphs(variant, manifest, opened, findings)
            checkpoint = loaded.checkpoint
            _held_weights(variant, opened, graphs, checkpoint, findings, keep=False)
            reference = LayerReference(loaded, variant, opened, graphs)
            cases = ReferenceCases(reference.model, text_ids(loaded), budget)
            compared = VariantComparison(manifest, cases, bounds, findings, on_stage)
            check_layers(compared, variant, graphs)
            plain = graphs["plain"].outputs if "plain" in graphs else []
            rows = compared.results(plain, cached_graph(variant)[0])
        reports.append(
            VariantReport(
                name,
                variant["precision"],
                _all(findings),
                tuple(rows),
                reference.rounded,
                bounds.by_norm,
                tuple(compared.measured_cases()),
            )
        )
    return reports


def _graphs(
    variant: Variant, manifest: Manifest, opened: OpenedVariant, findings: Findings
) -> dict[GraphKind, checks.GraphFile]:
    """Read and check a variant's graphs. Return those whose weights are all there."""
    runnable: dict[GraphKind, checks.GraphFile] = {}
    read = [checks.read_graph_file(variant, k, opened.folder, findings) for k in graphs_of(variant)]
    for graph in [found for found in read if found is not None]:
        checks.check_graph(graph, variant, manifest, findings)
        if checks.check_places(graph, opened.locations, findings):
            runnable[graph.kind] = graph
        else:
            findings.not_run(f"{graph.kind}_runs", "its weights are not all there")
    return runnable


class _References:
    """PyTorch with the checkpoint's weights, and with those of one encoding at a time."""

    def __init__(self, loaded: LoadedModel, budget: int) -> None:
        self.loaded, self.budget = loaded, budget
        reference = Reference(loaded)
        self.text = text_ids(loaded) or reference.own_text(OWN_TEXT, SEED)
        self.float32 = ReferenceCases(reference, self.text, budget)
        self.held: Mapping[str, Array] = {}
        self.rounded: ReferenceCases | None = None

    def holding(self, weights: Mapping[str, Array]) -> ReferenceCases:
        """Return cases computed with these weights in place of the checkpoint's."""
        if not weights:
            return self.float32
        if self.rounded is None or not _same(weights, self.held):
            reference = Reference(self.loaded)
            reference.hold(weights)
            self.held, self.rounded = weights, ReferenceCases(reference, self.text, self.budget)
        return self.rounded


def _same(one: Mapping[str, Array], other: Mapping[str, Array]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


def _verify_variant(
    variant: Variant,
    manifest: Manifest,
    folder: Path,
    references: _References,
    on_stage: Callable[[str], None],
) -> VariantReport:
    findings = Findings()
    name, precision = variant["name"], variant["precision"]
    bounds = model_bounds(precision, manifest.shape)
    if bounds is None:
        findings.failed("bounds", f"none are set for {precision}")
        return VariantReport(name, precision, _all(findings), ())
    on_stage(f"check the files of {name}")
    with opened_variant(folder, variant, findings) as opened:
        runnable = _graphs(variant, manifest, opened, findings)
        keep = variant.get("encoding") in CUSTOM_RECIPE_ENCODINGS
        checkpoint = references.loaded.checkpoint
        held = _held_weights(variant, opened, runnable, checkpoint, findings, keep)
        taps: list[Tap] = []
        with findings.guarded("taps_complete"):
            taps = [Tap.from_json(tap) for tap in variant["taps"]]
            checks.check_taps(taps, manifest, findings)
        on_stage(f"run PyTorch beside {name}")
        cases = references.holding(held)
        check_reference(cases, bounds.of("reference"), findings)
        compared = VariantComparison(manifest, cases, bounds, findings, on_stage)
        check_numbers(compared, runnable, taps)
        if "attribution" in variant and "open" in runnable:
            with findings.guarded(ATTRIBUTION):
                attribution = AttributionTaps.from_json(variant["attribution"])
                check_attribution(compared, runnable["open"], attribution, taps)
        if "open" in runnable:
            check_lens_packs(compared, runnable["open"], variant, folder)
            check_dictionaries(compared, runnable["open"], variant, folder)
        edited = runnable.get("open") or runnable.get("interactive")
        if edited is not None and variant.get("kernels") in QUANTIZED_KERNELS:
            with findings.guarded(CHECK):
                float32 = tapped_graph(manifest.variant(FP32.name))["path"]
                check_every_product(compared, edited, folder / float32, held)
        on_stage(f"replay the reference pass of {name}")
        check_stored_pass(variant, folder, opened.folder, cases.reference, findings)
        plain = runnable["plain"].outputs if "plain" in runnable else []
        rows = compared.results(plain, cached_graph(variant)[0])
    return VariantReport(
        name,
        precision,
        _all(findings),
        tuple(rows),
        bool(held),
        bounds.by_norm,
        tuple(compared.measured_cases()),
    )


def _held_weights(
    variant: Variant,
    opened: OpenedVariant,
    graphs: Mapping[GraphKind, checks.GraphFile],
    checkpoint: StoredTensors,
    findings: Findings,
    keep: bool,
) -> Mapping[str, Array]:
    """Compare the variant's weights with the checkpoint's. Return those that PyTorch should compute
    with in their place: with `keep` the decoded ones, where they are encoded in few bits."""
    held: Mapping[str, Array] = {}
    for graph in graphs.values():
        checks.check_nodes(graph, variant, findings)
        if opened.expanded is not None:
            checks.check_expanded_places(graph, variant["expansion"], findings)
            continue
        check = f"{graph.kind}_weights"
        with findings.guarded(check):
            weights = from_graph(graph.model, opened.folder)
            held = compare_weights(check, weights, checkpoint, findings, keep)
    if opened.expanded is not None and opened.expanded.is_file():
        with findings.guarded("weights"):
            weights = from_expansion(variant["expansion"], opened.expanded)
            held = compare_weights("weights", weights, checkpoint, findings, keep)
    return held


def find_reference(manifest: Manifest, folder: Path | None) -> LoadedModel:
    """Open the checkpoint of which a bundle was made: the folder given or the manifest's source."""
    adapter = manifest.data["model"]["source"].get("adapter")
    if adapter is not None:
        raise CheckpointError(
            f"this bundle was made with the adapter {adapter!r}, whose place it doesn't record",
            expected="--checkpoint with the model's folder, and --adapter with that one",
            next_step="verify it again with both.",
        )
    if folder is not None:
        return load_model(find_checkpoint(str(folder)))
    source = manifest.data["model"]["source"]
    if source["kind"] == "bundled":
        return load_model(find_checkpoint(DEMO))
    if source["kind"] == "hub":
        return load_model(find_checkpoint(source["id"], source.get("revision")))
    if source["id"] == local_gpt2_folder().name and local_gpt2_folder().is_dir():
        return load_model(find_checkpoint(str(local_gpt2_folder())))
    raise CheckpointError(
        f"this bundle was made of a local folder, {source['id']!r}, whose place it doesn't record",
        expected="--checkpoint with that folder",
        next_step="verify it again with --checkpoint FOLDER.",
    )


def _check_belongs(graph_path: Path, manifest: Manifest) -> None:
    if graph_path.is_dir() or graph_path.name == MANIFEST:
        return
    if manifest.variant_of_graph(graph_path.name) is None:
        known = [r["path"] for v in manifest.variants for r in graphs_of(v).values()]
        raise GraphError(
            f"{graph_path} is not a graph of the bundle in its folder",
            expected=f"one of {', '.join(known)}",
            next_step="name one of these, or the folder.",
        )


def _same_shape(loaded: LoadedModel, manifest: Manifest) -> bool:
    """Return whether checkpoint and manifest have the same sizes. Before 1.1 no document said that
    an MLP is gated."""
    said = manifest.shape
    known = manifest.data["contract_version"] != "1.0"
    return loaded.shape == (said if known else replace(said, gated_mlp=loaded.shape.gated_mlp))


def _shape_difference(loaded: LoadedModel, manifest: Manifest) -> str:
    ours, theirs = asdict(loaded.shape), asdict(manifest.shape)
    parts = [f"{k} {ours[k]} but {theirs[k]} in the manifest" for k in ours if ours[k] != theirs[k]]
    return f"the checkpoint has {'; '.join(parts)}"


def _all(findings: Findings) -> tuple[Check, ...]:
    return tuple(findings.checks.values())


def _versions() -> dict[str, str]:
    libraries = {name: version(name) for name in _LIBRARIES}
    return {"oriel": oriel.__version__, "python": platform.python_version(), **libraries}


def _since(start: float) -> float:
    return time.monotonic() - start
