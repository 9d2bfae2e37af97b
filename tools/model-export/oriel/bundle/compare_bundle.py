"""Compares a bundle on disk with what an export would write: an equal one needn't be written."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from oriel.bundle.listed_file import missing_files
from oriel.bundle.loadable import check_bundle_loads
from oriel.bundle.provenance import Provenance
from oriel.bundle.requested_bundle import RequestedBundle
from oriel.bundle.write_bundle import (
    exporter_record,
    file_digest,
    source_record,
)
from oriel.bundle.write_weights import checkpoint_digest
from oriel.contract.activation_names import contract_version
from oriel.contract.dictionaries import dictionary_path
from oriel.contract.documents import FileDescriptor, ManifestDocument, Variant
from oriel.contract.json_value import JsonObject
from oriel.contract.lens_packs import pack_path
from oriel.contract.manifest import Manifest, check_manifest
from oriel.contract.variant_graphs import static_cache_of
from oriel.errors import BundleError, OrielError
from oriel.models.demo.shipped_files import bundled_dictionaries, bundled_lenses
from oriel.models.load_model import LoadedModel
from oriel.models.model_names import safe_name
from oriel.tokenizers.checkpoint_tokenizer import CheckpointTokenizer
from oriel.tokenizers.write_tokenizer import bundle_files, tokenizer_record


def up_to_date(
    found: JsonObject,
    requested: RequestedBundle,
    variants: Mapping[str, Provenance],
    allow_lossy: bool,
) -> ManifestDocument | None:
    """Return `found`, the manifest in the requested folder, once it is checked; None where it isn't
    of this model, by this exporter, with these outputs and variants, or a file hasn't the bytes
    that it was written with.

    variants: by name, what the manifest must say about how each was made. allow_lossy: True if
    those beyond their bounds may stay.
    """
    try:
        manifest = check_manifest(found)
    except OrielError:
        return None
    same = _is_up_to_date(manifest, requested, variants, allow_lossy)
    return manifest.data if same else None


def _is_up_to_date(
    manifest: Manifest,
    requested: RequestedBundle,
    variants: Mapping[str, Provenance],
    allow_lossy: bool,
) -> bool:
    old, paths, model = manifest.data, requested.paths, requested.model
    existing = {v["name"]: v for v in manifest.variants}
    if set(existing) != set(variants) or "fp32" not in existing:
        return False
    if any(v.get("lossy") for v in manifest.variants) and not allow_lossy:
        return False
    for name, made in variants.items():
        record = existing[name]
        if record.get("recipe") != made.recipe or record.get("calibration") != made.calibration:
            return False
    decoder = existing["fp32"].get("decoder")
    if decoder is None:
        return False
    given = [o["name"] for o in decoder["activations"]["outputs"]]
    source, new_source = dict(old["model"]["source"]), dict(source_record(model))
    # The note's words may differ, but both must have a note, or neither.
    noted = bool(source.pop("note", None)) == bool(new_source.pop("note", None))
    return (
        old["contract_version"] == contract_version()
        and old["exporter"] == exporter_record()
        and noted
        and source == new_source
        and decoder["path"] == paths.decoder()
        and [n for n in given if not n.startswith("present.")] == ["logits", *requested.outputs]
        and all(v["opset"] == requested.opset for v in manifest.variants)
        and not any(_is_own_run(v) for v in manifest.variants)
        and all(static_cache_of(v) == requested.static_cache for v in manifest.variants)
        and old["model"].get("config_digest") == file_digest(model.source.folder / "config.json")
        and _same_tokenizer(old, model)
        and _holds(old, model.library_configs)
        and old["model"].get("end_token_ids") == list(model.end_tokens.ids)
        and _same_bytes(paths.folder, old["files"])
        and _loads(paths.folder, old)
        and _has_shipped(old, model)
        and old["model"]["weights_digest"] == checkpoint_digest(model.checkpoint)
    )


def check_same_source(found: JsonObject, folder: Path, model: LoadedModel) -> None:
    """Raise BundleError where the bundle in a model's default folder was made from another model:
    two models of the same name must not replace each other silently.

    For a local folder the manifest keeps only the name, so a folder of the same name with other
    weights counts as another model.
    """
    said = found.get("model")
    source = said.get("source") if isinstance(said, dict) else None
    if not isinstance(said, dict) or not isinstance(source, dict):
        return
    here = model.source
    theirs, ours = (
        _source_name(source.get("kind"), source.get("id")),
        _source_name(here.kind, here.id),
    )
    if theirs == ours:
        is_plain = here.kind != "folder" and here.adapter is None and "adapter" not in source
        same_weights = is_plain or (
            said.get("weights_digest") == checkpoint_digest(model.checkpoint)
        )
        if same_weights:
            return
        ours = f"one that is also called {here.id}, with other weights, in {here.folder.resolve()}"
    raise BundleError(
        f"{folder} holds the bundle of another model",
        got=f"{theirs} there, and {ours} here",
        expected="one place for each",
        next_step=f"to keep both, say --output {shlex.quote(str(_unused_path(folder, model)))}; to "
        "replace it, say --force.",
    )


def _source_name(kind: object, source_id: object) -> str:
    prefix = {"hub": "the Hub's", "folder": "the folder", "bundled": "the bundled model"}
    return f"{prefix.get(str(kind), str(kind))} {source_id}"


def _unused_path(folder: Path, model: LoadedModel) -> Path:
    """Return a graph's path beside `folder` where there is nothing yet."""
    place = folder.with_name(safe_name(model.source.id.replace("/", "-")))
    number = 2
    while place.exists():
        place = folder.with_name(f"{folder.name}-{number}")
        number += 1
    return place / "model.onnx"


def _same_tokenizer(old: ManifestDocument, model: LoadedModel) -> bool:
    own = model.tokenizer
    if not isinstance(own, CheckpointTokenizer):
        return "tokenizer" not in old
    return old.get("tokenizer") == tokenizer_record(own) and _holds(old, bundle_files(own))


def _holds(old: ManifestDocument, files: Mapping[str, bytes]) -> bool:
    """Return whether the manifest describes files of these names and bytes."""
    there = {f["path"]: f["digest"] for f in old["files"]}
    return all(
        there.get(name) == f"sha256:{hashlib.sha256(data).hexdigest()}"
        for name, data in files.items()
    )


def _loads(folder: Path, manifest: ManifestDocument) -> bool:
    """Return whether ONNX Runtime loads the graphs: an earlier exporter's may be broken."""
    try:
        check_bundle_loads(folder, manifest, "export the bundle again.")
    except OrielError:
        return False
    return True


def _is_own_run(variant: Variant) -> bool:
    """Return whether a variant's reference pass is its own run, made without the checkpoint: the
    export has PyTorch's in its place."""
    return "reference_pass" in variant and variant["reference_pass"]["reference"] == "runtime"


def _has_shipped(old: ManifestDocument, model: LoadedModel) -> bool:
    """Return whether a bundle has the lens packs and dictionaries that ship with its model. One of
    the user's counts where it has a shipped one's name: an export doesn't replace it."""
    folder = model.source.folder
    packs = missing_files(old.get("lens_packs", ()), bundled_lenses(folder), pack_path)
    dictionaries = missing_files(
        old.get("dictionaries", ()), bundled_dictionaries(folder), dictionary_path
    )
    return not packs and not dictionaries


def _same_bytes(folder: Path, files: Sequence[FileDescriptor]) -> bool:
    try:
        return all((folder / f["path"]).stat().st_size == f["bytes"] for f in files) and all(
            file_digest(folder / f["path"]) == f["digest"] for f in files
        )
    except OSError:
        return False
