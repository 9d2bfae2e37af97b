"""Whether a bundle on disk is just what an export would write, so that it needn't be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from oriel.bundle.loadable import check_bundle_loads
from oriel.bundle.write_bundle import (
    BundlePaths,
    exporter_record,
    file_digest,
    source_record,
)
from oriel.bundle.write_weights import checkpoint_digest
from oriel.contract.activation_names import contract_version
from oriel.contract.manifest import check_manifest
from oriel.errors import OrielError
from oriel.models.load_model import LoadedModel


def is_up_to_date(
    old: Mapping[str, Any],
    paths: BundlePaths,
    model: LoadedModel,
    outputs: Sequence[str],
    opset: int,
    variants: Mapping[str, Mapping[str, Any]],
    allow_lossy: bool,
) -> bool:
    """Whether `old`, the manifest in paths.folder, is of this model, by this exporter, with these
    outputs and variants, and every file has the bytes that it was written with.

    variants: by name, what the manifest must say of how each was made. allow_lossy: whether those
    beyond their bounds may stay.
    """
    try:
        manifest = check_manifest(dict(old))
    except OrielError:
        return False
    there = {v["name"]: v for v in manifest.variants}
    if set(there) != set(variants) or "fp32" not in there:
        return False
    if any(v.get("lossy") for v in manifest.variants) and not allow_lossy:
        return False
    for name, made in variants.items():
        if any(there[name].get(key) != value for key, value in made.items()):
            return False
    plain = there["fp32"]["plain"]
    source, new_source = dict(old["model"]["source"]), dict(source_record(model))
    # The note's words may differ; whether there is one may not.
    noted = bool(source.pop("note", None)) == bool(new_source.pop("note", None))
    return (
        old["contract_version"] == contract_version()
        and old["exporter"] == exporter_record()
        and noted
        and source == new_source
        and plain["path"] == paths.plain()
        and [o["name"] for o in plain["activations"]["outputs"]] == ["logits", *outputs]
        and all(v["opset"] == opset for v in manifest.variants)
        and old["model"].get("config_digest") == file_digest(model.source.folder / "config.json")
        and _same_tokenizer(old, model)
        and _same_bytes(paths.folder, manifest.data["files"])
        and _loads(paths.folder, manifest.variants)
        and old["model"]["weights_digest"] == checkpoint_digest(model.checkpoint)
    )


def _same_tokenizer(old: Mapping[str, Any], model: LoadedModel) -> bool:
    there = {f["path"]: f["digest"] for f in old["files"]}
    files = model.tokenizer_files
    return ("tokenizer" in old) == bool(files) and all(
        there.get(file.name) == file_digest(file) for file in files
    )


def _loads(folder: Path, variants: Sequence[Mapping[str, Any]]) -> bool:
    """An earlier exporter may have written what no runtime opens."""
    try:
        check_bundle_loads(folder, variants, "export the bundle again.")
    except OrielError:
        return False
    return True


def _same_bytes(folder: Path, files: Sequence[Mapping[str, Any]]) -> bool:
    try:
        return all((folder / f["path"]).stat().st_size == f["bytes"] for f in files) and all(
            file_digest(folder / f["path"]) == f["digest"] for f in files
        )
    except OSError:
        return False
