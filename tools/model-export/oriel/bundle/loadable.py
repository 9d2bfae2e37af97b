"""Loads every graph of a bundle once with ONNX Runtime: before it takes its place on disk, before
it is published, and after it was fetched back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from oriel.contract.activation_names import TensorSpec
from oriel.contract.documents import ManifestDocument, TapRecord
from oriel.contract.variant_graphs import graphs_of
from oriel.errors import BundleError, GraphError, reason_of
from oriel.graph.attribution import AttributionTaps
from oriel.graph.closings import close_joints
from oriel.graph.load_graph import check_loads
from oriel.graph.taps import Tap, open_taps


def check_bundle_loads(folder: Path, manifest: ManifestDocument, next_step: str) -> None:
    """Load each graph that the manifest names. A graph that takes taps is loaded with all its taps
    appended and its joints closed, and again with the taps of each lens pack and each dictionary.
    Raises GraphError for the first graph that ONNX Runtime refuses."""
    seen: set[str] = set()
    for variant in manifest["variants"]:
        for kind, record in graphs_of(variant).items():
            path = record["path"]
            if path in seen:
                # Variants whose weights are expanded share the graphs of fp32.
                continue
            seen.add(path)
            try:
                graph = (folder / path).read_bytes()
            except OSError as error:
                raise BundleError(
                    f"can't read {folder / path}", got=error.strerror, next_step=next_step
                ) from error
            if kind in ("open", "static", "interactive"):
                joints = record["activations"].get("joints", ())
                graph += close_joints([TensorSpec.from_json(joint) for joint in joints], {})
                for pack in manifest.get("lens_packs", ()):
                    lens = _taps(pack["taps"].get(variant["name"], []), path, next_step)
                    check_loads(open_taps(graph, lens), path, folder, next_step)
                for dictionary in manifest.get("dictionaries", ()):
                    taps = [dictionary["taps"][variant["name"]]]
                    tapped = open_taps(graph, _taps(taps, path, next_step))
                    check_loads(tapped, path, folder, next_step)
                graph = open_taps(graph, _taps(variant["taps"], path, next_step))
            if kind == "open" and "attribution" in variant:
                graph += AttributionTaps.from_json(variant["attribution"]).all()
            check_loads(graph, path, folder, next_step)


def _taps(taps: Sequence[TapRecord], path: str, next_step: str) -> list[Tap]:
    try:
        return [Tap.from_json(tap) for tap in taps]
    except (ValueError, KeyError, TypeError) as error:
        raise GraphError(
            f"the taps of {path} can't be read", got=reason_of(error), next_step=next_step
        ) from error
