"""Writes the bundle's files except the weights: graphs, tokenizer, manifest; and checks that a
folder may be replaced."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from itertools import islice
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
from onnx import TensorProto, helper

import oriel
from oriel.bundle.atomic_folder import is_staged_name, unwritable
from oriel.bundle.loadable import check_bundle_loads
from oriel.bundle.manifest_text import manifest_text
from oriel.contract.activation_names import contract_version
from oriel.contract.documents import (
    ExporterRecord,
    FileDescriptor,
    GraphRecord,
    ManifestDocument,
    ModelRecord,
    ModelSource,
    TokenizerFiles,
    Variant,
)
from oriel.contract.json_value import (
    JsonObject,
    JsonValue,
)
from oriel.contract.manifest import (
    FORMAT,
    MANIFEST,
    MANIFEST_VERSION,
    VERIFICATION,
    check_manifest,
)
from oriel.errors import BundleError, OptionError, OrielError
from oriel.graph.build_graphs import BuiltGraphs
from oriel.graph.built_graph import BuiltGraph
from oriel.graph.data_files import names_of_files
from oriel.graph.static_cache import fix_cache
from oriel.models.model_names import folder_id
from oriel.precisions import FP32, Precision

if TYPE_CHECKING:
    # Imported for type checks only: variants of a finished bundle are made without torch.
    from oriel.bundle.write_weights import WrittenWeights
    from oriel.models.load_model import LoadedModel

MEDIA_TYPES = {
    ".onnx": "application/x-onnx",
    ".data": "application/octet-stream",
    ".json": "application/json",
    ".parquet": "application/vnd.apache.parquet",
    ".safetensors": "application/octet-stream",
}
_REPORT_DEFECT = "nothing was written; choose other --activations, and report this as a defect."
_FILE_MANAGER_FILES = (".DS_Store", "Thumbs.db")
"""Files that file managers put into any folder that is opened."""
LIBRARIES = ("torch", "transformers", "onnx", "onnxruntime", "onnxscript", "onnx_ir")


class BundlePaths:
    """Names of a bundle's files, from the path of its decoder graph."""

    def __init__(self, output: Path) -> None:
        if output.suffix != ".onnx":
            output = output / "model.onnx"
        if re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}", output.stem) is None:
            raise OptionError(
                "--output gives the graph a name that can't stand in a URL",
                got=repr(output.name),
                expected="letters, digits, '.', '_' and '-', ending in .onnx",
                next_step="rename it, such as model.onnx; its folder may have any name.",
            )
        self.folder = output.parent
        self.stem = output.stem

    def plain(self, variant: str = "fp32") -> str:
        return f"{self._stem(variant)}.plain.onnx"

    def decoder(self, variant: str = "fp32") -> str:
        return f"{self._stem(variant)}.onnx"

    def open(self, variant: str = "fp32") -> str:
        return f"{self._stem(variant)}.open.onnx"

    def static(self, variant: str = "fp32") -> str:
        return f"{self._stem(variant)}.static.onnx"

    def weights(self, encoding: str = "f32") -> str:
        """Return the name of an encoding's first weights file, which graphs share:
        model_f16.onnx.data."""
        return f"{self._stem('fp32' if encoding == 'f32' else encoding)}.onnx.data"

    def reference_pass(self, encoding: str = "f32") -> str:
        """Return the file name of an encoding's reference pass, such as
        model_q8.reference.safetensors."""
        return f"{self._stem('fp32' if encoding == 'f32' else encoding)}.reference.safetensors"

    def reference_run(self, variant: str) -> str:
        """Return the file name of a variant's own run, which serves as its reference where the
        checkpoint isn't available."""
        return f"{self._stem(variant)}.run.safetensors"

    def _stem(self, variant: str) -> str:
        return self.stem if variant == "fp32" else f"{self.stem}_{variant}"


def check_replaceable(folder: Path) -> JsonObject | None:
    """Return the manifest of the bundle in that folder, unchecked, or None where there is nothing.

    Raises BundleError where the folder holds anything that isn't a bundle's: it would be lost.
    """
    try:
        if not folder.exists():
            return None
        if not folder.is_dir():
            raise BundleError(
                f"{folder} is a file",
                expected="a folder, new, empty or with an earlier bundle",
                next_step="choose another folder.",
            )
        manifest = _own_manifest(folder)
        ours = (
            {MANIFEST, VERIFICATION, *_FILE_MANAGER_FILES} if manifest else set(_FILE_MANAGER_FILES)
        )
        files = manifest.get("files")
        for descriptor in files if isinstance(files, list) else []:
            if isinstance(descriptor, dict):
                ours.add(str(descriptor.get("path")))
        foreign = list(islice((path for path in _entries(folder) if path not in ours), 4))
    except OSError as error:
        raise unwritable(folder, error) from error
    if foreign:
        shown = ", ".join(foreign[:3]) + (" and more" if len(foreign) > 3 else "")
        raise BundleError(
            f"{folder} holds what isn't an Oriel bundle's and would be lost",
            got=shown,
            expected="a new or empty folder, or an earlier bundle",
            next_step="choose another folder, or move those files away.",
        )
    return manifest or None


def _own_manifest(folder: Path) -> JsonObject:
    with suppress(OSError, ValueError, RecursionError):
        loaded: JsonValue = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if isinstance(loaded, dict) and loaded.get("format") == FORMAT:
            return loaded
    return {}


def _entries(folder: Path) -> Iterator[str]:
    """Yield files, links and empty folders below a folder, except what a killed run left behind."""
    for place, inner, files in os.walk(folder):
        inner.sort()
        links = [name for name in inner if (Path(place) / name).is_symlink()]
        at = Path(place).relative_to(folder)
        if not inner and not files and at.parts:
            yield at.as_posix()
        for name in sorted([*files, *links]):
            if not is_staged_name(name):
                yield (at / name).as_posix()


def describe_file(folder: Path, path: str, known_digest: str | None = None) -> FileDescriptor:
    """Return a file's descriptor: type, size and digest."""
    file = folder / path
    return {
        "path": path,
        "media_type": MEDIA_TYPES[file.suffix],
        "bytes": file.stat().st_size,
        "digest": known_digest or file_digest(file),
    }


def put_files(
    folder: Path,
    data: ManifestDocument,
    files: Sequence[FileDescriptor],
    added: Mapping[str, bytes],
) -> None:
    """Write files into a folder that holds a bundle's others, and list all of them in the manifest.

    files: the manifest's other files. added: {path: contents}. data: the manifest, which is
    modified.
    """
    described = {each["path"]: each for each in files}
    for path, contents in added.items():
        (folder / path).write_bytes(contents)
        described[path] = describe_file(folder, path)
    data["files"] = sorted(described.values(), key=lambda each: each["path"])


def file_digest(file: Path) -> str:
    """Return a file's SHA-256 as the manifest writes it."""
    with file.open("rb") as handle:
        return f"sha256:{hashlib.file_digest(handle, 'sha256').hexdigest()}"


def write_graph(built: BuiltGraph, file: Path) -> GraphRecord:
    """Write a graph. Return its record for the manifest."""
    file.write_bytes(built.model.SerializeToString(deterministic=True))
    return {"path": file.name, "activations": built.document}


def opset_of(model: onnx.ModelProto) -> int:
    """Return the version of the standard operators that the file itself names."""
    versions: list[int] = [
        entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")
    ]
    return max(versions)


def write_variant(
    folder: Path,
    paths: BundlePaths,
    precision: Precision,
    graphs: BuiltGraphs,
    static_cache: int | None,
) -> Variant:
    """Write the graphs of a variant. Return its record for the manifest.

    static_cache: slots of the static graph's cache, in tokens; None to write no static graph.
    """
    name = precision.name
    record: Variant = {
        "name": name,
        "precision": name,
        "kernels": precision.kernels,
        "encoding": precision.encoding,
        "opset": opset_of(graphs.plain.model),
        "weights": names_of_files(paths.weights(precision.encoding), graphs.layout.starts),
        "largest_weight": _largest_weight(graphs),
        "plain": write_graph(graphs.plain, folder / paths.plain(name)),
        "decoder": write_graph(graphs.decoder, folder / paths.decoder(name)),
        "open": write_graph(graphs.open, folder / paths.open(name)),
        "taps": [tap.to_json() for tap in graphs.taps],
    }
    if static_cache is not None:
        static = fix_cache(graphs.open, static_cache)
        record["static"] = write_graph(static, folder / paths.static(name))
    if graphs.attribution is not None:
        record["attribution"] = graphs.attribution.to_json()
    return record


def float32_record(record: Variant, graphs: BuiltGraphs) -> Variant:
    """Return fp32's record as it is written today: manifests 1.0 lack kernels and encoding."""
    return {
        **record,
        "kernels": FP32.kernels,
        "encoding": FP32.encoding,
        "largest_weight": _largest_weight(graphs),
    }


def _largest_weight(graphs: BuiltGraphs) -> int:
    """Return the bytes of the largest single weight as kernels read it: a float16 weight under
    a Cast counts as float32, since ONNX Runtime folds the Cast."""
    largest = 0
    for built in (graphs.plain, graphs.decoder):
        graph = built.model.graph
        cast = {node.input[0] for node in graph.node if node.op_type == "Cast"}
        for tensor in graph.initializer:
            if tensor.data_location == TensorProto.EXTERNAL:
                item = helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
                wide = 4 if tensor.name in cast else int(item)
                largest = max(largest, prod(tensor.dims) * wide)
    return largest


def model_record(model: LoadedModel, weights: WrittenWeights) -> ModelRecord:
    """Return the record of the exported model and its source, for the manifest and each graph."""
    spec, shape = model.spec, model.shape
    record: ModelRecord = {
        "name": model.name,
        "architecture": spec.architecture.model_type,
        "source": source_record(model),
        "weights_digest": weights.weights_digest,
        "config_digest": file_digest(model.source.folder / "config.json"),
        "parameters": model.checkpoint.parameters,
        "shape": model.shape.to_json(),
        "bos_token_id": token_id(model.spec.config.bos_token_id, model.shape.vocab),
        "eos_token_id": next(iter(model.end_tokens.ids), None),
        "end_token_ids": list(model.end_tokens.ids),
        "tied_embeddings": spec.ties_embeddings,
    }
    if shape.labels:
        # Imported here: it imports torch, which variants of a finished bundle are made without.
        from oriel.models.architectures.classifier import classifier_record

        record["classifier"] = classifier_record(spec.config, pooled=shape.pooled)
    return record


def describe_bundle(
    folder: Path,
    record: ModelRecord,
    variants: Sequence[Variant],
    tokenizer: TokenizerFiles | None,
    digests: Mapping[str, str],
) -> ManifestDocument:
    """Return the manifest of a folder that holds all other files.

    record: the model's, as model_record makes it.
    digests: those of files that were hashed while they were written.
    """
    data: ManifestDocument = {
        "format": FORMAT,
        "manifest_version": MANIFEST_VERSION,
        "contract_version": contract_version(),
        "model": record,
        "files": describe_files(folder, digests),
        "variants": list(variants),
        "exporter": exporter_record(),
    }
    if tokenizer is not None:
        data["tokenizer"] = tokenizer
    return data


def describe_files(folder: Path, digests: Mapping[str, str]) -> list[FileDescriptor]:
    """Return descriptors of all files of the folder, inner ones too, except the manifest."""
    inside = (file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
    files = sorted(path for path in inside if path != MANIFEST)
    return [describe_file(folder, path, digests.get(path)) for path in files]


def source_record(model: LoadedModel) -> ModelSource:
    """Return the record of the checkpoint's source."""
    source = model.source
    record: ModelSource = {"kind": source.kind, "id": source.id, "revision": source.revision}
    if source.note:
        record["note"] = source.note
    if source.adapter is not None:
        record["adapter"] = folder_id(source.adapter)[:256]
    return record


def exporter_record() -> ExporterRecord:
    """Return the record of this exporter and of the libraries that the graphs depend on."""
    return {
        "name": "oriel",
        "version": oriel.__version__,
        "libraries": {name: version(name) for name in LIBRARIES},
    }


def save_manifest(folder: Path, data: ManifestDocument) -> None:
    """Check the folder's graphs and its manifest.json, and write the manifest, the last file: a
    bundle is complete only if ONNX Runtime loads each of its graphs."""
    try:
        check_manifest(data)
    except OrielError as error:
        raise AssertionError(f"our own manifest breaks its contract: {error}") from error
    check_bundle_loads(folder, data, _REPORT_DEFECT)
    (folder / MANIFEST).write_text(manifest_text(data), encoding="utf-8")


def token_id(value: object, vocab: int) -> int | None:
    """Return a config's entry as one id; None where it names none that the model has a row for."""
    # Some configs give several; the first is the main one.
    if isinstance(value, Iterable):
        value = next(iter(value), None)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < vocab:
        return value
    return None
