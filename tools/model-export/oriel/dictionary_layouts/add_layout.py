"""Adds a dictionary of any layout to a bundle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from oriel.bundle.open_bundle import read_open_bundle
from oriel.contract.documents import DictionaryActivation, DictionaryDescription
from oriel.contract.manifest import Manifest, bundle_folder
from oriel.dictionaries.bundle_dictionaries import add_dictionary, check_name
from oriel.dictionaries.dictionary_file import parse_dictionary
from oriel.dictionary_layouts import find_layout
from oriel.dictionary_layouts.layout import Request
from oriel.errors import BundleError, reason_of


@dataclass(frozen=True)
class AddedDictionary:
    """A dictionary that was added to a bundle."""

    name: str
    description: DictionaryDescription
    dashboards_removed: bool
    """The bundle's dashboards were removed: they had features of the dictionary that it replaced.
    """


def add_layout(
    bundle: Path,
    path: Path,
    name: str | None = None,
    reads: DictionaryActivation | None = None,
    centered: bool = False,
) -> AddedDictionary:
    """Convert a dictionary and add it to a bundle, replacing one of the same name.

    path: its file or folder. name: by default the kind and the layer that it reads, such as
    resid_pre_8. reads, centered: as in `Request`. Raises OrielError and leaves the bundle unchanged
    if it can't be used.
    """
    if name is not None:
        check_name(name)
    layout = find_layout(path)
    manifest = read_open_bundle(bundle)
    weights = manifest.data["model"]["weights_digest"]
    centers = norms_center(manifest, bundle) if layout.reads_norms else True
    request = Request(path, manifest.shape, weights, centers, reads, centered)
    # A number that becomes too large is not finite then, which is refused below in one line.
    with np.errstate(over="ignore", invalid="ignore"):
        data = layout.file_bytes(request)
    dictionary = parse_dictionary(data, path, manifest.shape, weights)
    read = dictionary.description["reads"]
    name = name or f"{read['kind']}_{int(read['layer'])}"
    removed = add_dictionary(bundle, dictionary, name)
    return AddedDictionary(name, dictionary.description, removed)


def norms_center(manifest: Manifest, bundle: Path) -> bool:
    """Return whether the model's norms take the mean away, as LayerNorm does and a root mean square
    doesn't. Raises BundleError for a graph that can't be read."""
    paths = {variant["open"]["path"] for variant in manifest.variants}
    graphs = (_read_graph(bundle_folder(bundle) / path) for path in sorted(paths))
    return any(node.op_type == "LayerNormalization" for graph in graphs for node in graph.node)


def _read_graph(file: Path) -> onnx.GraphProto:
    try:
        return onnx.load(str(file), load_external_data=False).graph
    except Exception as error:  # protobuf's own errors have no common class that is public
        raise BundleError(
            f"the graph {file.name} can't be read",
            got=reason_of(error),
            expected="an ONNX graph of the bundle",
            next_step="export the model again.",
        ) from error
