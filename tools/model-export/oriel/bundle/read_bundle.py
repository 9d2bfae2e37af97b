"""Reads a bundle's float32 graphs from its files, to make other variants of them without its
checkpoint. Nothing here needs torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
from onnx import TensorProto

from oriel.bundle.write_bundle import BundlePaths, file_digest
from oriel.contract.activation_names import ModelShape, contract_version
from oriel.contract.documents import Variant
from oriel.contract.manifest import MANIFEST, Manifest, bundle_folder, read_manifest
from oriel.contract.variant_graphs import graphs_of
from oriel.errors import BundleError, GraphError
from oriel.graph.attach_weights import PlacedWeight, WeightLayout
from oriel.graph.attribution import AttributionTaps
from oriel.graph.build_graphs import BuiltGraphs
from oriel.graph.built_graph import BuiltGraph
from oriel.graph.data_files import names_of_files, starts_of_sizes
from oriel.graph.select_outputs import open_graph
from oriel.graph.taps import Tap
from oriel.tokenizers.open_tokenizer import open_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

_QUANTIZED = frozenset(
    {
        "ConvInteger",
        "DequantizeLinear",
        "DynamicQuantizeLinear",
        "DynamicQuantizeMatMul",
        "GatherBlockQuantized",
        "MatMulBnb4",
        "MatMulInteger",
        "MatMulIntegerToFloat",
        "MatMulNBits",
        "QAttention",
        "QGemm",
        "QuantizeLinear",
    }
)
_QUANTIZED_PREFIXES = ("QLinear", "DynamicQuantize")


@dataclass(frozen=True)
class StoredBundle:
    """A bundle on disk whose float32 graphs are read."""

    folder: Path
    paths: BundlePaths
    manifest: Manifest
    variant: Variant
    """The manifest's record of fp32."""
    graphs: BuiltGraphs

    @property
    def shape(self) -> ModelShape:
        return self.manifest.shape

    @property
    def tokenizer(self) -> Tokenizer | None:
        """The opened tokenizer. Raises BundleError where it can't be read."""
        files = self.manifest.data.get("tokenizer")
        return None if files is None else open_tokenizer(self.folder / files["tokenizer"])


def read_bundle(path: Path) -> StoredBundle:
    """Read a bundle. path: a float32 graph of the bundle, or its folder.

    Raises GraphError for a graph that is quantized or isn't ours, BundleError where what belongs to
    it isn't there, ContractError where the manifest breaks its schema.
    """
    path = _existing(path)
    folder = bundle_folder(path)
    if path.is_file() and path.name != MANIFEST:
        _check_named(path)
    manifest = read_manifest(folder)
    variant = _float32(manifest, folder)
    if path.is_file() and path.name != MANIFEST:
        _check_belongs(path, manifest, variant)
    paths_of = {kind: record["path"] for kind, record in graphs_of(variant).items()}
    if "decoder" not in paths_of:
        raise BundleError(
            f"the bundle in {folder} keeps an earlier contract",
            got=f"version {manifest.data['contract_version']}",
            expected=f"{contract_version()}, whose graphs variants are made of",
            next_step="export it again.",
        )
    graphs = {kind: _open(folder, path) for kind, path in paths_of.items()}
    for file in (*paths_of.values(), *variant["weights"]):
        check_file(folder, manifest, file)
    sizes = {file: int(manifest.file(file)["bytes"]) for file in variant["weights"]}
    layout = _layout(graphs["decoder"].model, sizes, paths_of["decoder"])
    taps = tuple(Tap.from_json(tap) for tap in variant["taps"])
    paths = BundlePaths(folder / paths_of["decoder"])
    stored = variant.get("attribution")
    attribution = None if stored is None else AttributionTaps.from_json(stored)
    built = BuiltGraphs(
        graphs["plain"], graphs["decoder"], graphs["open"], taps, attribution, layout
    )
    return StoredBundle(folder, paths, manifest, variant, built)


def _existing(path: Path) -> Path:
    try:
        # A link stays a link.
        found = path.resolve()
        if found.exists():
            return found
    except (OSError, RuntimeError) as error:
        raise BundleError(f"can't read {path}", got=str(error)) from error
    raise BundleError(
        f"no file {path}", expected="the model.onnx of a bundle", next_step="check the path."
    )


def _check_named(path: Path) -> None:
    """Check that the file that the user named is an ONNX graph of ours in float32."""
    model = onnx.ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except OSError as error:
        raise BundleError(f"can't read {path}", got=error.strerror) from error
    except Exception:  # noqa: BLE001 - protobuf's own; open_graph says it in a line
        model.Clear()
    quantized = sorted({n.op_type for n in model.graph.node if _is_quantized(n.op_type)})
    if quantized:
        raise GraphError(
            f"{path.name} is quantized already",
            got=", ".join(quantized[:3]),
            expected="a float32 graph that Oriel exported",
            next_step="name the model.onnx that it was made of.",
        )
    open_graph(path.read_bytes(), path.name)


def _is_quantized(operator: str) -> bool:
    return operator in _QUANTIZED or operator.startswith(_QUANTIZED_PREFIXES)


def _float32(manifest: Manifest, folder: Path) -> Variant:
    for variant in manifest.variants:
        if variant["name"] == "fp32" and "expansion" not in variant:
            return variant
    raise BundleError(
        f"the bundle in {folder} has no float32 variant to quantize",
        got=", ".join(variant["name"] for variant in manifest.variants),
        next_step="export it again.",
    )


def _check_belongs(path: Path, manifest: Manifest, variant: Variant) -> None:
    own = [record["path"] for record in graphs_of(variant).values()]
    if path.name in own:
        return
    other = manifest.variant_of_graph(path.name)
    if other is not None:
        raise GraphError(
            f"{path.name} is of the variant {other['name']}",
            expected=f"a float32 graph, such as {own[-1]}",
            next_step="name one of fp32's graphs: variants are made of them.",
        )
    raise GraphError(
        f"{path.name} is not in the manifest beside it",
        expected=" or ".join(own),
        next_step="name one of these, or move this one to a folder of its own.",
    )


def _open(folder: Path, name: str) -> BuiltGraph:
    try:
        data = (folder / name).read_bytes()
    except OSError as error:
        raise BundleError(
            f"can't read {folder / name}", got=error.strerror, next_step="export the bundle again."
        ) from error
    return open_graph(data, name)


def check_file(folder: Path, manifest: Manifest, name: str) -> None:
    """Check that a file is undamaged: variants made from a damaged one would pass as sound."""
    said = manifest.file(name)
    file = folder / name
    try:
        whole = file.stat().st_size == said["bytes"] and file_digest(file) == said["digest"]
    except OSError as error:
        raise BundleError(f"can't read {file}", got=error.strerror) from error
    if not whole:
        raise BundleError(
            f"{file} is not what the manifest says",
            got="other bytes",
            expected=f"{said['bytes']} bytes, {said['digest'][:17]}…",
            next_step="export the bundle again.",
        )


def _layout(model: onnx.ModelProto, sizes: Mapping[str, int], graph: str) -> WeightLayout:
    """Return the positions of the graph's weights in its data files, in order of offset. sizes:
    bytes of each of the files, in their order."""
    first = next(iter(sizes))
    starts = starts_of_sizes(list(sizes.values()))
    begins = dict(zip(sizes, starts, strict=True))
    placed = []
    for tensor in model.graph.initializer:
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        said = {entry.key: entry.value for entry in tensor.external_data}
        location = said.get("location", "")
        if location not in sizes or tensor.data_type != TensorProto.FLOAT:
            raise GraphError(
                "the graph's weights don't lie in its bundle's float32 files",
                got=f"{tensor.name} in {location}",
                expected=" or ".join(sizes),
                next_step="export the bundle again.",
            )
        offset = int(said.get("offset", 0))
        # It no longer matters whether the checkpoint has it transposed.
        weight = PlacedWeight(
            tensor.name, begins[location] + offset, tuple(tensor.dims), transposed=False
        )
        if offset + weight.bytes > sizes[location]:
            raise GraphError(
                f"{graph} has weights past the end of {location}",
                got=f"byte {offset + weight.bytes}",
                expected=f"{sizes[location]} bytes",
                next_step="export the bundle again.",
            )
        placed.append(weight)
    if list(sizes) != names_of_files(first, starts):
        raise BundleError(
            "the bundle's float32 files have other names than such files have",
            got=", ".join(sizes),
            expected=", ".join(names_of_files(first, starts)),
            next_step="export the bundle again.",
        )
    return WeightLayout(tuple(sorted(placed, key=lambda weight: weight.offset)), starts)
