"""The bundle's files but the weights: graphs, tokenizer, manifest; and whether a folder may be
replaced."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import onnx

import oriel
from oriel.bundle.manifest_text import manifest_text
from oriel.bundle.write_weights import WrittenWeights
from oriel.contract.activation_names import contract_version
from oriel.contract.manifest import FORMAT, MANIFEST, MANIFEST_VERSION, check_manifest
from oriel.errors import BundleError, OrielError
from oriel.graph.build_graphs import BuiltGraphs
from oriel.graph.built_graph import BuiltGraph
from oriel.models.load_model import LoadedModel

VERIFICATION = "verification.json"
MEDIA_TYPES = {
    ".onnx": "application/x-onnx",
    ".data": "application/octet-stream",
    ".json": "application/json",
}
LIBRARIES = ("torch", "transformers", "onnx", "onnxruntime", "onnxscript", "onnx_ir")


class BundlePaths:
    """Names of a bundle's files, from the path of its plain graph."""

    def __init__(self, output: Path) -> None:
        if output.suffix != ".onnx":
            output = output / "model.onnx"
        self.folder = output.parent
        self.stem = output.stem

    def plain(self, variant: str = "fp32") -> str:
        return f"{self._stem(variant)}.onnx"

    def interactive(self, variant: str = "fp32") -> str:
        return f"{self._stem(variant)}.interactive.onnx"

    def weights(self, variant: str = "fp32") -> str:
        return f"{self._stem(variant)}.onnx.data"

    def _stem(self, variant: str) -> str:
        return self.stem if variant == "fp32" else f"{self.stem}_{variant}"


def check_replaceable(folder: Path) -> Mapping[str, Any] | None:
    """The manifest of the bundle that stands there, or None where nothing does.

    Raises BundleError where the folder holds anything that isn't a bundle's: it would be lost.
    """
    if not folder.exists():
        return None
    if not folder.is_dir():
        raise BundleError(
            f"{folder} is a file", expected="a folder", next_step="choose another --output."
        )
    found = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    manifest: dict[str, Any] = {}
    with suppress(OSError, ValueError, RecursionError):
        loaded = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if isinstance(loaded, dict) and loaded.get("format") == FORMAT:
            manifest = loaded
    ours = {MANIFEST, VERIFICATION} if manifest else set()
    files = manifest.get("files")
    for descriptor in files if isinstance(files, list) else []:
        if isinstance(descriptor, dict):
            ours.add(str(descriptor.get("path")))
    foreign = sorted(found - ours)
    if foreign:
        shown = ", ".join(foreign[:3]) + (" and more" if len(foreign) > 3 else "")
        raise BundleError(
            f"{folder} isn't an Oriel bundle's alone",
            got=shown,
            expected="an empty or new folder, or an earlier bundle",
            next_step="choose another --output, or move those files away.",
        )
    return manifest or None


def describe_file(folder: Path, path: str, known_digest: str | None = None) -> dict[str, Any]:
    """A descriptor: type, size and digest."""
    file = folder / path
    digest = known_digest
    if digest is None:
        with file.open("rb") as handle:
            digest = f"sha256:{hashlib.file_digest(handle, 'sha256').hexdigest()}"
    return {
        "path": path,
        "media_type": MEDIA_TYPES[file.suffix],
        "bytes": file.stat().st_size,
        "digest": digest,
    }


def write_graph(built: BuiltGraph, file: Path) -> dict[str, Any]:
    """Write a graph; its record for the manifest."""
    file.write_bytes(built.model.SerializeToString(deterministic=True))
    return {"path": file.name, "activations": built.document}


def opset_of(model: onnx.ModelProto) -> int:
    """The version of the standard operators that the file itself names."""
    versions: list[int] = [
        entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")
    ]
    return max(versions)


def write_variant(
    folder: Path, paths: BundlePaths, name: str, graphs: BuiltGraphs
) -> dict[str, Any]:
    """Write both graphs of a variant; its record for the manifest."""
    return {
        "name": name,
        "precision": name,
        "opset": opset_of(graphs.plain.model),
        "weights": [paths.weights(name)],
        "plain": write_graph(graphs.plain, folder / paths.plain(name)),
        "interactive": write_graph(graphs.interactive, folder / paths.interactive(name)),
        "taps": [tap.to_json() for tap in graphs.taps],
    }


def copy_tokenizer(model: LoadedModel, folder: Path) -> dict[str, str] | None:
    """Copy tokenizer.json and its config; their record for the manifest."""
    files = model.tokenizer_files
    for file in files:
        shutil.copyfile(file, folder / file.name)
    return {"tokenizer": files[0].name, "config": files[1].name} if files else None


def write_manifest(
    folder: Path,
    model: LoadedModel,
    weights: WrittenWeights,
    variants: Sequence[Mapping[str, Any]],
    tokenizer: Mapping[str, str] | None,
    digests: Mapping[str, str],
) -> dict[str, Any]:
    """Describe all files of the folder and write manifest.json, last; checked before it is written.

    digests: those of files that were hashed while they were written.
    """
    files = sorted(f.name for f in folder.iterdir() if f.name != MANIFEST)
    source = model.source
    data: dict[str, Any] = {
        "format": FORMAT,
        "manifest_version": MANIFEST_VERSION,
        "contract_version": contract_version(),
        "model": {
            "name": model.name,
            "architecture": model.architecture.model_type,
            "source": {"kind": source.kind, "id": source.id, "revision": source.revision}
            | ({"note": source.note} if source.note else {}),
            "weights_digest": weights.weights_digest,
            "parameters": model.checkpoint.parameters,
            "shape": model.shape.to_json(),
            "bos_token_id": _token_id(model.config.bos_token_id),
            "eos_token_id": _token_id(model.config.eos_token_id),
            "tied_embeddings": model.tied_embeddings,
        },
        "files": [describe_file(folder, path, digests.get(path)) for path in files],
        "variants": list(variants),
        "exporter": {
            "name": "oriel",
            "version": oriel.__version__,
            "libraries": {name: version(name) for name in LIBRARIES},
        },
    }
    if tokenizer is not None:
        data["tokenizer"] = dict(tokenizer)
    save_manifest(folder, data)
    return data


def save_manifest(folder: Path, data: dict[str, Any]) -> None:
    """Check and write manifest.json."""
    try:
        check_manifest(data)
    except OrielError as error:
        raise AssertionError(f"our own manifest breaks its contract: {error}") from error
    (folder / MANIFEST).write_text(manifest_text(data), encoding="utf-8")


def _token_id(value: Any) -> int | None:
    # Some configs give several end tokens; the first is the main one.
    if isinstance(value, Iterable):
        value = next(iter(value), None)
    return value if isinstance(value, int) else None
