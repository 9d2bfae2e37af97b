"""Runs the steps of `oriel quantize` in order: makes other variants of an existing bundle, without
torch and without its checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

from oriel.bundle.atomic_folder import replaced_folder
from oriel.bundle.read_bundle import StoredBundle, read_bundle
from oriel.bundle.reuse_files import reuse_files
from oriel.bundle.write_bundle import (
    check_replaceable,
    describe_files,
    float32_record,
    save_manifest,
)
from oriel.contract.documents import ManifestDocument, Variant
from oriel.contract.manifest import MANIFEST_VERSION
from oriel.contract.variant_graphs import graphs_of, static_cache_of
from oriel.device.compute_pass import with_native_passes
from oriel.dictionaries import bundle_dictionaries
from oriel.errors import OptionError
from oriel.fidelity.gate import gate
from oriel.freed_memory import release_memory
from oriel.lenses import bundle_packs
from oriel.options import QuantizeOptions, check_quantizing
from oriel.precision.calibration.calibration_text import TextCalibration
from oriel.precision.make_variants import VariantInputs, WrittenVariants, make_variants, recipes_for
from oriel.precision.recipes.recipe import read_recipe
from oriel.precisions import FP32, PRECISIONS, in_order
from oriel.progress import StageDisplay
from oriel.tokenizers.passage_start import passage_start


@dataclass(frozen=True)
class Quantized:
    """The path of the bundle's graph, its manifest, and the names of its new variants."""

    graph: Path
    manifest: ManifestDocument
    made: tuple[str, ...]

    def lines(self) -> list[str]:
        """Return a line for each new variant: bytes of its weights, and fidelity to fp32."""
        sizes = {file["path"]: file["bytes"] for file in self.manifest["files"]}
        found = []
        for variant in self.manifest["variants"]:
            if variant["name"] in self.made:
                weights = sum(sizes[path] for path in variant["weights"])
                line = f"{variant['name']}: {weights / 1e6:.1f} MB of weights"
                fidelity = variant.get("fidelity")
                if fidelity is not None:
                    line += f", mean KL {fidelity['kl_mean']:.2g}, top-1 {fidelity['top1']:.1%}"
                found.append(line + (", beyond its bounds" if variant.get("lossy") else ""))
        return [*found, f"{self.graph} and its manifest name them"]


def quantize(options: QuantizeOptions, display: StageDisplay) -> Quantized:
    """Read, encode, measure, write. Raises OrielError for whatever the user can fix; no old file is
    changed then."""
    wanted = _wanted(options)
    own = options.recipe
    recipe = None if own is None else read_recipe(own)
    display.stage("read the bundle")
    bundle = read_bundle(options.graph)
    check_replaceable(bundle.folder)
    names = _with_shared_encodings(bundle, wanted)
    kept = [v for v in bundle.manifest.variants if v["name"] not in names]

    def check() -> object:
        return check_replaceable(bundle.folder)

    def measuring(text: str) -> None:
        release_memory()
        display.stage(text)

    with replaced_folder(bundle.folder, check, movable=False) as folder:
        reuse_files(bundle.folder, folder, _files_of(bundle, kept))
        inputs = VariantInputs(
            folder,
            bundle.paths,
            bundle.graphs,
            bundle.shape,
            float32_record(bundle.variant, bundle.graphs),
            recipes_for(names, recipe),
            TextCalibration(
                bundle.tokenizer,
                passage_start(bundle.manifest.data),
                options.calibration,
                options.calibration_method,
            ),
            static_cache_of(bundle.variant),
        )
        made = make_variants(inputs, names, display)
        data = _manifest(bundle, folder, inputs.float32, kept, made)
        data = gate(folder, data, names, options.allow_lossy, measuring)
        measuring("compute what other devices must give")
        without = [v["name"] for v in data["variants"] if "reference_pass" not in v]
        data = with_native_passes(folder, bundle.paths, data, without)
        display.stage("write the manifest")
        save_manifest(folder, data)
    return Quantized(bundle.folder / bundle.paths.plain(), data, names)


def _wanted(options: QuantizeOptions) -> tuple[str, ...]:
    wanted = tuple(name for name in options.precision if name != FP32.name)
    if not wanted:
        raise OptionError(
            "--precision names nothing to make",
            got=FP32.name,
            expected=f"some of {', '.join(name for name in PRECISIONS if name != FP32.name)}",
            next_step="fp32 is there already.",
        )
    check_quantizing(options, wanted)
    return wanted


def _with_shared_encodings(bundle: StoredBundle, wanted: Sequence[str]) -> tuple[str, ...]:
    """Return the wanted variants, and existing ones whose weights file is written again."""
    encodings = {PRECISIONS[name].encoding for name in wanted}
    there = {variant["name"] for variant in bundle.manifest.variants}
    siblings = [p.name for p in PRECISIONS.values() if p.name in there and p.encoding in encodings]
    return in_order([*wanted, *siblings])


def _files_of(bundle: StoredBundle, kept: Sequence[Variant]) -> list[str]:
    """Return all files that the manifest describes, except those only of replaced variants."""
    needed = {path for variant in kept for path in _paths(variant)}
    dropped = {path for variant in bundle.manifest.variants for path in _paths(variant)} - needed
    described = [file["path"] for file in bundle.manifest.data["files"]]
    return [path for path in described if path not in dropped]


def _paths(variant: Variant) -> tuple[str, ...]:
    graphs = (record["path"] for record in graphs_of(variant).values())
    passed = variant.get("reference_pass")
    return (*variant["weights"], *graphs, *([] if passed is None else [passed["path"]]))


def _manifest(
    bundle: StoredBundle,
    folder: Path,
    float32: Variant,
    kept: Sequence[Variant],
    made: WrittenVariants,
) -> ManifestDocument:
    """Return the old manifest with the new variants, and every file of the folder described."""
    data = deepcopy(bundle.manifest.data)
    data["manifest_version"] = MANIFEST_VERSION
    variants = {v["name"]: v for v in (*kept, *made.variants)} | {FP32.name: float32}
    order = [*PRECISIONS, *(name for name in variants if name not in PRECISIONS)]
    data["variants"] = [variants[name] for name in order if name in variants]
    known = {file["path"]: file["digest"] for file in bundle.manifest.data["files"]}
    new = {path for variant in made.variants for path in _paths(variant)}
    new -= {path for variant in kept for path in _paths(variant)}
    unchanged = {path: digest for path, digest in known.items() if path not in new}
    data["files"] = describe_files(folder, {**unchanged, **made.digests})
    bundle_packs.make_taps_anew(folder, data)
    bundle_dictionaries.make_taps_anew(folder, data)
    return data
