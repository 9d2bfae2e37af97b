"""manifest.json as Python reads it: checked against its schema, with paths that stay inside."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from oriel.contract.activation_contract import check_ports, check_schema, check_version
from oriel.contract.activation_names import ModelShape
from oriel.contract.chunks import check_chunks
from oriel.contract.dashboards import check_dashboards
from oriel.contract.dictionaries import check_dictionaries
from oriel.contract.documents import FileDescriptor, ManifestDocument, Variant
from oriel.contract.expansion import check_expansion
from oriel.contract.lens_packs import check_lens_packs
from oriel.contract.limits import limits
from oriel.contract.strict_json import read_json
from oriel.contract.taps import check_taps
from oriel.contract.totals import MANIFEST as MANIFEST
from oriel.contract.totals import check_totals
from oriel.contract.variant_graphs import graphs_of
from oriel.errors import BundleError, ContractError

FORMAT: Literal["oriel-bundle"] = "oriel-bundle"
MANIFEST_VERSION = "2.1"
_EARLIER_VERSION = "1.2"
"""The newest version of the major before."""
VERIFICATION = "verification.json"
"""Beside the manifest where the bundle was verified; not one of its files."""
MAX_BYTES = limits()["json"]["bytes"]


@dataclass(frozen=True)
class Manifest:
    """A manifest that keeps its schema."""

    data: ManifestDocument

    @property
    def shape(self) -> ModelShape:
        return ModelShape.from_json(self.data["model"]["shape"])

    @property
    def variants(self) -> list[Variant]:
        return self.data["variants"]

    def variant(self, name: str) -> Variant:
        for variant in self.variants:
            if variant["name"] == name:
                return variant
        known = ", ".join(v["name"] for v in self.variants)
        raise ContractError("no such variant", got=name, expected=f"one of {known}")

    def variant_of_graph(self, path: str) -> Variant | None:
        """Return the variant that has this file as one of its graphs."""
        for variant in self.variants:
            if path in [record["path"] for record in graphs_of(variant).values()]:
                return variant
        return None

    def file(self, path: str) -> FileDescriptor:
        for descriptor in self.data["files"]:
            if descriptor["path"] == path:
                return descriptor
        raise ContractError(f"the manifest names {path} but doesn't describe it")


def raised_version(version: str) -> str:
    """Return the version under which a manifest is written again, with what newer minor versions
    allow: the newest of its own major, or its own where that is newer."""
    major, _, minor = version.partition(".")
    ours = (MANIFEST_VERSION, _EARLIER_VERSION)
    newest = next((known for known in ours if known.partition(".")[0] == major), version)
    return version if int(minor) > int(newest.partition(".")[2]) else newest


def check_manifest(data: object, what: str = MANIFEST) -> Manifest:
    """Version and schema; that every file that a variant names is described once; that what its
    graphs and taps give follows from the model's sizes; and that it adds up to something sane."""
    if isinstance(data, dict):
        for key in ("contract_version", "manifest_version"):
            if isinstance(data.get(key), str):
                check_version(data[key], what)
    check_schema("manifest", data, what)
    return _check_sound(Manifest(cast(ManifestDocument, data)), what)


def _check_sound(manifest: Manifest, what: str) -> Manifest:
    """Check what no schema can express."""
    data = manifest.data
    paths = [descriptor["path"] for descriptor in data["files"]]
    if len(set(paths)) != len(paths):
        raise ContractError(f"{what} describes a file twice")
    check_totals(data, what)
    check_chunks(data["files"], what)
    sizes = {descriptor["path"]: int(descriptor["bytes"]) for descriptor in data["files"]}
    for variant in manifest.variants:
        for path in variant["weights"]:
            _check_listed(path, sizes)
        for graph, record in graphs_of(variant).items():
            _check_listed(record["path"], sizes)
            # Its schema is a part of the manifest's.
            document, name = record["activations"], f"{what}: {variant['name']}, {graph}"
            if document["graph"] != graph:
                raise ContractError(
                    f"{name}: its document is of a graph that is {document['graph']}"
                )
            check_version(document["contract_version"], name)
            check_ports(document, name)
            if ModelShape.from_json(document["model"]) != manifest.shape:
                raise ContractError(f"{what} gives a graph other sizes than its model")
        if "reference_pass" in variant:
            _check_listed(variant["reference_pass"]["path"], sizes)
        check_taps(variant, f"{what}: {variant['name']}")
        check_expansion(variant, sizes, f"{what}: {variant['name']}")
    if "tokenizer" in data:
        named = data["tokenizer"]
        for path in (named["tokenizer"], named["config"], *filter(None, [named.get("cases")])):
            _check_listed(path, sizes)
        _check_known(named.get("first_tokens", ()), manifest.shape, f"{what}: first_tokens")
        _check_known(named.get("last_tokens", ()), manifest.shape, f"{what}: last_tokens")
        mask = [named["mask_token"]] if "mask_token" in named else []
        _check_known(mask, manifest.shape, f"{what}: mask_token")
    _check_labels(data, manifest.shape, what)
    _check_known(data["model"].get("end_token_ids", ()), manifest.shape, f"{what}: end_token_ids")
    if "first_pass" in data:
        _check_listed(data["first_pass"]["path"], sizes)
        manifest.variant(data["first_pass"]["variant"])
    check_lens_packs(data, what)
    check_dictionaries(data, what)
    check_dashboards(data, what)
    return manifest


def _check_listed(path: str, sizes: Mapping[str, int]) -> None:
    if path not in sizes:
        raise ContractError(f"the manifest names {path} but doesn't describe it")


def _check_labels(data: ManifestDocument, shape: ModelShape, what: str) -> None:
    """Each logit of a classifier has a name, and no language model's has."""
    named = len(data["model"].get("classifier", {"labels": []})["labels"])
    if named != shape.labels:
        raise ContractError(
            f"{what} names other labels than the model has",
            got=f"{named} names",
            expected=f"{shape.labels}, as many as the model's sizes say",
        )


def _check_known(tokens: Iterable[int], shape: ModelShape, what: str) -> None:
    """Each is a row of the model: it is fed to the graph, or compared with what the graph gives."""
    for token in tokens:
        if token >= shape.vocab:
            raise ContractError(
                f"{what} names a token that the model doesn't have",
                got=f"id {token}",
                expected=f"ids below {shape.vocab}",
            )


def parse_manifest(raw: bytes, what: str = MANIFEST) -> Manifest:
    """From a manifest's own bytes. Raises ContractError for whatever is wrong with them."""
    return check_manifest(read_json(raw, what), what)


def bundle_folder(path: Path) -> Path:
    """Return the folder of a bundle that is named by it or by a file in it, as model.onnx."""
    inside = path.is_file() or path.suffix in (".onnx", ".json")
    return path.parent if inside and not path.is_dir() else path


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a bundle on disk."""
    file = folder / MANIFEST
    if not file.is_file():
        raise BundleError(
            f"no bundle in {folder}",
            got="no manifest.json" if folder.is_dir() else "no such folder",
            next_step="export one there, or name another folder.",
        )
    if file.stat().st_size > MAX_BYTES:
        raise ContractError(f"{file} is too large", got=f"{file.stat().st_size} bytes")
    return parse_manifest(file.read_bytes(), str(file))


def put_before_variants(data: ManifestDocument, key: str, value: object | None) -> None:
    """Set an entry of a manifest, or remove it for None: before the variants, which are most of the
    file, and with the version that knows of it."""
    rest = cast(dict[str, object], data)
    rest.pop(key, None)
    if value is not None:
        rest[key] = value
    for last in ("variants", "exporter"):
        rest[last] = rest.pop(last)
    data["manifest_version"] = MANIFEST_VERSION
