"""oriel select: a plain graph and the manifest beside it, rewritten for other outputs; weights
untouched."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

from oriel.bundle.atomic_folder import unwritable
from oriel.bundle.manifest_text import manifest_text
from oriel.contract.activation_names import ModelShape
from oriel.contract.choose_outputs import choose_outputs
from oriel.contract.manifest import MANIFEST, check_manifest, read_manifest
from oriel.errors import BundleError, GraphError
from oriel.graph.select_outputs import open_graph, select_outputs


def select_in_bundle(
    path: Path, layers: tuple[int, ...] | None, activations: tuple[str, ...] | None
) -> list[str]:
    """Rewrite the plain graph `path` and its manifest, if there is one; the chosen names.

    layers None: all of them; activations None: the contract's defaults. A bare graph without a
    manifest is rewritten alone.
    """
    if not path.is_file():
        raise BundleError(
            f"no file {path}", expected="the model.onnx of a bundle", next_step="check the path."
        )
    graph = open_graph(path.read_bytes(), path.name)
    if graph.document["graph"] != "plain":
        raise GraphError(
            f"{path.name} is the interactive graph",
            expected="the plain one",
            next_step="its activations open by taps; name model.onnx to choose outputs.",
        )
    shape = ModelShape.from_json(graph.document["model"])
    names = choose_outputs(shape, layers or tuple(range(shape.layers)), activations)
    chosen = select_outputs(graph, names)
    data = chosen.model.SerializeToString(deterministic=True)
    manifest_file = path.parent / MANIFEST
    if not manifest_file.is_file():
        _write_whole(path, data)
        return names
    manifest = read_manifest(path.parent)
    variant = manifest.variant_of_graph(path.name)
    if variant is None:
        raise BundleError(f"{path.name} is not in the manifest beside it", got=str(manifest_file))
    variant["plain"]["activations"] = chosen.document
    descriptor = manifest.file(path.name)
    descriptor["bytes"] = len(data)
    descriptor["digest"] = f"sha256:{hashlib.sha256(data).hexdigest()}"
    check_manifest(manifest.data)
    _write_whole(path, data)
    _write_whole(manifest_file, manifest_text(manifest.data).encode())
    return names


def _write_whole(file: Path, data: bytes) -> None:
    """Write beside the file, then take its place: readers see the old bytes or the new ones."""
    staged: str | None = None
    try:
        handle, staged = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
        with os.fdopen(handle, "wb") as out:
            out.write(data)
            os.fsync(out.fileno())
        Path(staged).chmod(0o644)
        Path(staged).replace(file)
        staged = None
    except OSError as error:
        raise unwritable(file, error) from error
    finally:
        if staged is not None:
            Path(staged).unlink(missing_ok=True)
