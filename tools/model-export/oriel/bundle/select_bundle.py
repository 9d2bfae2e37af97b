"""oriel select: a plain graph and the manifest beside it, rewritten for other outputs; weights
untouched."""

from __future__ import annotations

import hashlib
from pathlib import Path

from oriel.bundle.atomic_folder import write_files_whole
from oriel.bundle.manifest_text import manifest_text
from oriel.contract.activation_names import ModelShape
from oriel.contract.choose_outputs import choose_outputs
from oriel.contract.manifest import MANIFEST, VERIFICATION, check_manifest, read_manifest
from oriel.errors import BundleError, GraphError
from oriel.graph.load_graph import check_loads
from oriel.graph.select_outputs import open_graph, select_outputs


def select_in_bundle(
    path: Path, layers: tuple[int, ...] | None, activations: tuple[str, ...] | None
) -> list[str]:
    """Rewrite the plain graph `path` and its manifest, if there is one. Return the chosen names.

    layers None: all of them; activations None: the contract's defaults. A bare graph without a
    manifest is rewritten alone. verification.json is removed: it proves outputs that are gone.
    """
    try:
        # A link stays a link.
        path = path.resolve()
        if not path.is_file():
            raise BundleError(
                f"no file {path}",
                expected="the model.onnx of a bundle",
                next_step="check the path.",
            )
        graph = open_graph(path.read_bytes(), path.name)
    except (OSError, RuntimeError) as error:
        raise BundleError(
            f"can't read {path}", got=getattr(error, "strerror", None) or str(error)
        ) from error
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
    check_loads(data, path.name, path.parent, "nothing was changed; choose other --activations.")
    manifest_file = path.parent / MANIFEST
    if not manifest_file.is_file():
        write_files_whole({path: data})
        return names
    manifest = read_manifest(path.parent)
    if manifest.variant_of_graph(path.name) is None:
        raise BundleError(
            f"{path.name} is not in the manifest beside it",
            got=str(manifest_file),
            next_step="name a graph of that bundle, or move this one to a folder of its own.",
        )
    for other in manifest.variants:
        # Variants whose weights are expanded share fp32's graphs.
        if other["plain"]["path"] == path.name:
            other["plain"]["activations"] = chosen.document
    descriptor = manifest.file(path.name)
    descriptor["bytes"] = len(data)
    descriptor["digest"] = f"sha256:{hashlib.sha256(data).hexdigest()}"
    check_manifest(manifest.data)
    write_files_whole({path: data, manifest_file: manifest_text(manifest.data).encode()})
    # It described the graph that was replaced.
    (path.parent / VERIFICATION).unlink(missing_ok=True)
    return names
