"""oriel select: the graphs of a variant that give activations, and the manifest beside them,
rewritten for other outputs; weights untouched."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from oriel.bundle.atomic_folder import write_files_whole
from oriel.bundle.manifest_text import manifest_text
from oriel.contract.activation_names import ModelShape
from oriel.contract.choose_outputs import choose_outputs
from oriel.contract.data_files import GraphKind
from oriel.contract.documents import ActivationsDocument
from oriel.contract.manifest import (
    MANIFEST,
    VERIFICATION,
    Manifest,
    check_manifest,
    read_manifest,
)
from oriel.contract.variant_graphs import graphs_of
from oriel.errors import BundleError, GraphError
from oriel.graph.built_graph import BuiltGraph
from oriel.graph.load_graph import check_loads
from oriel.graph.select_outputs import open_graph, select_outputs

_CHOOSABLE: tuple[GraphKind, ...] = ("decoder", "plain")
"""Graphs that have activations among their outputs; both of a variant give the same."""
_REFUSED = "nothing was changed; choose other --activations."


def select_in_bundle(
    path: Path, layers: tuple[int, ...] | None, activations: tuple[str, ...] | None
) -> list[str]:
    """Rewrite the variant's graphs that give activations, of which `path` is one, and their
    manifest, if there is one. Return the names chosen.

    layers None: all of them; activations None: the contract's defaults. A bare graph without a
    manifest is rewritten alone. verification.json is removed: it proves outputs that are gone.
    """
    # A link stays a link.
    path, graph = _opened(path)
    kind = graph.document["graph"]
    if kind not in _CHOOSABLE:
        raise GraphError(
            f"{path.name} is the {kind} graph",
            expected="the decoder graph or the plain one",
            next_step="its activations open by taps; name model.onnx to choose outputs.",
        )
    shape = ModelShape.from_json(graph.document["model"])
    names = choose_outputs(shape, layers or tuple(range(shape.layers)), activations)
    manifest_file = path.parent / MANIFEST
    if not manifest_file.is_file():
        write_files_whole({path: _chosen(path, graph, names)[1]})
        return names
    manifest = read_manifest(path.parent)
    variant = manifest.variant_of_graph(path.name)
    if variant is None:
        raise BundleError(
            f"{path.name} is not in the manifest beside it",
            got=str(manifest_file),
            next_step="name a graph of that bundle, or move this one to a folder of its own.",
        )
    written: dict[Path, bytes] = {}
    paths = [r["path"] for kind, r in graphs_of(variant).items() if kind in _CHOOSABLE]
    for name in paths:
        file, own = _opened(path.parent / name)
        document, written[file] = _chosen(file, own, names)
        _describe(manifest, name, document, written[file])
    check_manifest(manifest.data)
    write_files_whole({**written, manifest_file: manifest_text(manifest.data).encode()})
    # It described the graphs that were replaced.
    (path.parent / VERIFICATION).unlink(missing_ok=True)
    return names


def _opened(path: Path) -> tuple[Path, BuiltGraph]:
    """Return the file that a path means, and its graph. Raises BundleError where there is none."""
    try:
        path = path.resolve()
        if not path.is_file():
            raise BundleError(
                f"no file {path}",
                expected="the model.onnx of a bundle",
                next_step="check the path.",
            )
        return path, open_graph(path.read_bytes(), path.name)
    except (OSError, RuntimeError) as error:
        raise BundleError(
            f"can't read {path}", got=getattr(error, "strerror", None) or str(error)
        ) from error


def _chosen(
    path: Path, graph: BuiltGraph, names: Sequence[str]
) -> tuple[ActivationsDocument, bytes]:
    """Return the document and the bytes of a graph that gives these activations and loads."""
    chosen = select_outputs(graph, names)
    data = bytes(chosen.model.SerializeToString(deterministic=True))
    check_loads(data, path.name, path.parent, _REFUSED)
    return chosen.document, data


def _describe(manifest: Manifest, path: str, document: ActivationsDocument, data: bytes) -> None:
    for variant in manifest.variants:
        # Variants whose weights are expanded share fp32's graphs.
        for record in graphs_of(variant).values():
            if record["path"] == path:
                record["activations"] = document
    descriptor = manifest.file(path)
    descriptor["bytes"] = len(data)
    descriptor["digest"] = f"sha256:{hashlib.sha256(data).hexdigest()}"
