"""Writes a bundle's decoder graphs as the folder that other libraries open by themselves:
transformers.js, Optimum (onnx/model.onnx) and, if it generates text, ONNX Runtime GenAI
(genai_config.json)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import onnx
from onnx import TensorProto

from oriel.bundle.atomic_folder import is_staged_name, replaced_folder
from oriel.bundle.read_bundle import check_file
from oriel.contract.documents import ManifestDocument, Variant
from oriel.contract.json_value import JsonObject, JsonValue
from oriel.contract.library_files import (
    CONFIG,
    GENERATION_CONFIG,
    GRAPHS,
    data_file,
    graph_file,
)
from oriel.contract.manifest import Manifest, bundle_folder, read_manifest
from oriel.contract.strict_json import read_json
from oriel.errors import BundleError, PublishError
from oriel.graph.external_data import check_external_data
from oriel.graph.load_graph import check_loads
from oriel.progress import StageDisplay

LAYOUT = "transformers.js"
GENAI_CONFIG = "genai_config.json"
SUFFIXES = {"fp32": "", "fp16": "_fp16", "int8": "_quantized", "int4": "_q4"}
"""Ending of a file's name by our variant. What is called q8 and q4 there computes on quantized
weights, as our int8 and int4; our q8 and q4 are expanded before they run, by our readers alone."""
_MOST_FILES = 100
"""Files with a graph's weights that transformers.js reads at most."""
_GENAI_DECODER = "llama"
"""ONNX Runtime GenAI's name of any decoder with separate keys and values. Under its name gpt2 it
expects a graph of another form, with both in one tensor."""
_SEARCH = ("do_sample", "repetition_penalty", "temperature", "top_k", "top_p")
"""Entries of generation_config.json that ONNX Runtime GenAI calls alike."""


@dataclass(frozen=True)
class Layout:
    """The folder that was written."""

    folder: Path
    files: tuple[str, ...]
    bytes: int
    variants: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        return {
            "layout": LAYOUT,
            "variants": list(self.variants),
            "files": list(self.files),
            "bytes": self.bytes,
        }


def write_library_layout(bundle: Path, folder: Path, display: StageDisplay) -> Layout:
    """Write the folder, which is replaced whole.

    Raises BundleError for a bundle that lacks what the libraries need or whose files are damaged,
    and PublishError where the folder holds anything else, which would be lost.
    """
    bundle = bundle_folder(bundle)
    display.stage("read the bundle")
    manifest = read_manifest(bundle)
    variants = _variants(bundle, manifest)

    def check() -> None:
        _check_replaceable(folder)

    check()
    with replaced_folder(folder, check, movable=False) as staged:
        _write_configs(bundle, manifest, variants, staged)
        (staged / GRAPHS).mkdir()
        for name, variant in variants.items():
            display.stage(f"check and write {name}")
            _write_variant(bundle, manifest, variant, staged / graph_file(SUFFIXES[name]))
        files = sorted(_files(staged))
        size = sum((staged / path).stat().st_size for path in files)
    return Layout(folder, tuple(files), size, tuple(variants))


def _variants(bundle: Path, manifest: Manifest) -> dict[str, Variant]:
    """Return the variants that the layout has a name for, fp32 among them."""
    there = {variant["name"]: variant for variant in manifest.variants}
    described = {file["path"] for file in manifest.data["files"]}
    needed = (CONFIG, GENERATION_CONFIG) if _generates(manifest) else (CONFIG,)
    missing = [name for name in needed if name not in described]
    if "decoder" not in there.get("fp32", {}):
        missing.append("a decoder graph in fp32")
    if any("chunks" in file for file in manifest.data["files"]):
        raise PublishError(
            f"{bundle} is a published model", expected="a bundle", next_step="name the bundle."
        )
    if missing:
        raise BundleError(
            f"{bundle} lacks what other libraries open a model by",
            got=f"no {', no '.join(missing)}",
            expected="a bundle of contract 2.0",
            next_step="export it again.",
        )
    return {name: there[name] for name in SUFFIXES if name in there}


def _generates(manifest: Manifest) -> bool:
    """Return whether libraries generate text with the model: else ONNX Runtime GenAI has no use for
    it, and nobody asks how."""
    return not manifest.shape.bidirectional


def _files(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        if path.is_file() or path.is_symlink():
            yield path.relative_to(folder).as_posix()


def _check_replaceable(folder: Path) -> None:
    graphs = {graph_file(suffix) for suffix in SUFFIXES.values()}
    tokenizer = {"tokenizer.json", "tokenizer_config.json"}
    own = {CONFIG, GENERATION_CONFIG, GENAI_CONFIG, *tokenizer, *graphs}
    own |= {data_file(graph, number) for graph in graphs for number in range(_MOST_FILES)}
    if folder.exists() and not folder.is_dir():
        raise PublishError(
            f"{folder} is a file", expected="a folder", next_step="choose another --to."
        )
    there = sorted(path for path in _files(folder) if not is_staged_name(Path(path).name))
    foreign = [path for path in there if path not in own]
    if foreign:
        shown = ", ".join(foreign[:3]) + (" and more" if len(foreign) > 3 else "")
        raise PublishError(
            f"{folder} holds what isn't of this layout and would be lost",
            got=shown,
            expected=f"a new or empty folder, or an earlier one of --layout {LAYOUT}",
            next_step="choose another --to, or move those files away.",
        )


def _read_json(bundle: Path, manifest: Manifest, name: str) -> JsonObject:
    check_file(bundle, manifest, name)
    value = read_json((bundle / name).read_bytes(), name)
    if not isinstance(value, dict):
        raise BundleError(
            f"{bundle / name} holds no JSON object", next_step="export the bundle again."
        )
    return value


def _write_configs(
    bundle: Path, manifest: Manifest, variants: dict[str, Variant], folder: Path
) -> None:
    config = _read_json(bundle, manifest, CONFIG)
    # In browsers a library has to be told that the weights lie in a file of their own; one such
    # entry counts for every dtype. Without q8 it can't be the default that it is in a browser.
    files = {graph_file(SUFFIXES[name]): v["weights"] for name, v in variants.items()}
    told: JsonObject = {"use_external_data_format": _counts(files)}
    if "int8" not in variants:
        told["dtype"] = "fp32"
    written = {CONFIG: {**config, "transformers.js_config": told}}
    if _generates(manifest):
        generation = _read_json(bundle, manifest, GENERATION_CONFIG)
        written[GENERATION_CONFIG] = generation
        written[GENAI_CONFIG] = genai_config(manifest.data, generation, config)
    for name, entries in written.items():
        text = json.dumps(entries, indent=2, sort_keys=True, allow_nan=False)
        (folder / name).write_text(f"{text}\n", encoding="utf-8")
    if "tokenizer" in manifest.data:
        tokenizer = manifest.data["tokenizer"]
        for source, name in (
            (tokenizer["tokenizer"], "tokenizer.json"),
            (tokenizer["config"], "tokenizer_config.json"),
        ):
            check_file(bundle, manifest, source)
            (folder / name).write_bytes((bundle / source).read_bytes())


def _counts(files: Mapping[str, Sequence[str]]) -> JsonValue:
    """Return how many files each graph has its weights in: True where it is one."""
    if all(len(weights) == 1 for weights in files.values()):
        return True
    return {PurePosixPath(graph).name: len(weights) for graph, weights in files.items()}


def genai_config(data: ManifestDocument, generation: JsonObject, config: JsonObject) -> JsonObject:
    """Return genai_config.json, by which ONNX Runtime GenAI opens the fp32 graph."""
    shape, model = data["model"]["shape"], data["model"]
    ends: list[int] = model.get("end_token_ids") or []
    named = (entries.get("pad_token_id") for entries in (generation, config))
    pads = [token for token in named if isinstance(token, int) and 0 <= token < shape["vocab"]]
    entries: JsonObject = {
        "type": _GENAI_DECODER,
        "vocab_size": shape["vocab"],
        "context_length": shape["context_length"],
        "pad_token_id": next(iter([*pads, *ends]), 0),
        "decoder": {
            "filename": graph_file(""),
            "session_options": {},
            "head_size": shape["head_dim"],
            "hidden_size": shape["hidden"],
            "num_attention_heads": shape["heads"],
            "num_key_value_heads": shape["kv_heads"],
            "num_hidden_layers": shape["layers"],
            "inputs": {
                "input_ids": "input_ids",
                "attention_mask": "attention_mask",
                "position_ids": "position_ids",
                "past_key_names": "past_key_values.%d.key",
                "past_value_names": "past_key_values.%d.value",
            },
            "outputs": {
                "logits": "logits",
                "present_key_names": "present.%d.key",
                "present_value_names": "present.%d.value",
            },
        },
    }
    if ends:
        entries["eos_token_id"] = list(ends)
    if (begin := model.get("bos_token_id")) is not None:
        entries["bos_token_id"] = begin
    search = {name: generation[name] for name in _SEARCH if generation.get(name) is not None}
    # The cache grows by concatenation: past and present can't be one buffer.
    search |= {"max_length": shape["context_length"], "past_present_share_buffer": False}
    return {"model": entries, "search": search}


def _write_variant(bundle: Path, manifest: Manifest, variant: Variant, file: Path) -> None:
    """Write a decoder graph and its weights under the layout's names, which the graph names too."""
    path = variant["decoder"]["path"]
    for name in (path, *variant["weights"]):
        check_file(bundle, manifest, name)
    names = {old: data_file(file.name, at) for at, old in enumerate(variant["weights"])}
    graph = renamed_data((bundle / path).read_bytes(), path, names)
    for old, new in names.items():
        # No hard link: onnx refuses to read weights of a file that has another name.
        shutil.copyfile(bundle / old, file.with_name(new))
    check_loads(graph, file.name, file.parent, "export the bundle again.")
    file.write_bytes(graph)


def renamed_data(graph: bytes, name: str, names: Mapping[str, str]) -> bytes:
    """Return a graph whose weights lie in files of other names beside it. names: {old: new}."""
    model = onnx.ModelProto.FromString(graph)
    check_external_data(model, name)
    for tensor in model.graph.initializer:
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        (place,) = (entry for entry in tensor.external_data if entry.key == "location")
        if place.value not in names:
            raise BundleError(
                f"{name} has weights outside of its variant's files",
                got=f"{tensor.name[:80]} in {place.value}",
                expected=" or ".join(names),
                next_step="export the bundle again.",
            )
        place.value = names[place.value]
    data: bytes = model.SerializeToString(deterministic=True)
    return data
