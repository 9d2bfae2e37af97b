"""Computes reference passes with PyTorch: transformers' own model, with the weights that each
encoding of a bundle stands for. Needs torch and the checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import torch
from torch import Tensor

from oriel.arrays import Array
from oriel.bundle.write_bundle import BundlePaths
from oriel.contract.documents import ManifestDocument, Variant
from oriel.device.compute_pass import Origin, with_passes
from oriel.models.load_model import LoadedModel
from oriel.runtime.weight_folders import WeightFolders
from oriel.verification.stored_weights import (
    StoredWeight,
    weights_of_expansion,
    weights_of_graph,
)
from oriel.verification.torch_activations import torch_activations
from oriel.verification.weight_checks import oriented_like
from oriel.verification.weights_on_demand import reference_reading


def with_pytorch_passes(
    folder: Path, paths: BundlePaths, data: ManifestDocument, loaded: LoadedModel
) -> ManifestDocument:
    """Return the manifest with a reference pass for each encoding, from the bundle's files in
    `folder` and the checkpoint that they were made from."""
    # Those of the variant whose pass is computed; of float32 none, since they are the checkpoint's.
    stored: dict[str, Callable[[], StoredWeight]] = {}

    def read(name: str) -> Tensor:
        wanted = loaded.checkpoint.read_float32(name)
        if name not in stored:
            return wanted
        values = stored[name]().values
        turned = oriented_like(values, wanted.numpy())
        if turned is None:
            raise ValueError(f"{name} is {values.shape}, in PyTorch {tuple(wanted.shape)}")
        return torch.from_numpy(np.array(turned, dtype=np.float32, order="C"))

    reference = reference_reading(loaded, read)
    with TemporaryDirectory(prefix="oriel-pass-") as name:
        weights = WeightFolders(folder, Path(name))

        def run(ids: Array, variant: Variant) -> Mapping[str, Array]:
            stored.clear()
            if variant.get("encoding", "f32") != "f32":
                stored.update(stored_weights(folder, weights, variant))
            return torch_activations(reference, ids)

        files = {
            variant["name"]: paths.reference_pass(variant.get("encoding", "f32"))
            for variant in data["variants"]
        }
        origin = Origin("pytorch", f"PyTorch {torch.__version__.partition('+')[0]}")
        return with_passes(folder, data, files, run, origin)


def stored_weights(
    folder: Path, weights: WeightFolders, variant: Variant
) -> dict[str, Callable[[], StoredWeight]]:
    """Return {weight of the checkpoint: what reads what a variant's files hold in its place}."""
    place = weights.of(variant)
    if "expansion" in variant:
        return weights_of_expansion(variant["expansion"], place / variant["expansion"]["path"])
    graph = onnx.load(folder / variant["plain"]["path"], load_external_data=False)
    return weights_of_graph(graph, place)
