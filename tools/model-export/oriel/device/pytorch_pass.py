"""Computes reference passes with PyTorch: transformers' own model, with the weights that each
encoding of a bundle stands for. Needs torch and the checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import torch

from oriel.arrays import Array
from oriel.bundle.write_bundle import BundlePaths
from oriel.contract.documents import ManifestDocument, Variant
from oriel.device.compute_pass import Origin, with_passes
from oriel.models.load_model import LoadedModel
from oriel.runtime.weight_folders import WeightFolders
from oriel.verification.run_reference import Reference
from oriel.verification.stored_weights import StoredWeight, from_expansion, from_graph
from oriel.verification.torch_activations import torch_activations
from oriel.verification.weight_checks import oriented_like


def with_pytorch_passes(
    folder: Path, paths: BundlePaths, data: ManifestDocument, loaded: LoadedModel
) -> ManifestDocument:
    """Compute a reference pass for each encoding, from the bundle's files in `folder` and the
    checkpoint that they were made from. Return the manifest with their records."""
    reference = Reference(loaded)
    held = "f32"
    with TemporaryDirectory(prefix="oriel-pass-") as name:
        weights = WeightFolders(folder, Path(name))

        def run(ids: Array, variant: Variant) -> Mapping[str, Array]:
            nonlocal held
            encoding = variant.get("encoding", "f32")
            if encoding != held:
                hold_weights(reference, stored_weights(folder, weights, variant))
                held = encoding
            return torch_activations(reference, ids)

        files = {
            variant["name"]: paths.reference_pass(variant.get("encoding", "f32"))
            for variant in data["variants"]
        }
        origin = Origin("pytorch", f"PyTorch {torch.__version__.partition('+')[0]}")
        return with_passes(folder, data, files, run, origin)


def stored_weights(
    folder: Path, weights: WeightFolders, variant: Variant
) -> Iterable[StoredWeight]:
    """Yield each weight of the checkpoint as a variant's files encode it."""
    place = weights.of(variant)
    if "expansion" in variant:
        return from_expansion(variant["expansion"], place / variant["expansion"]["path"])
    graph = onnx.load(folder / variant["plain"]["path"], load_external_data=False)
    return from_graph(graph, place)


def hold_weights(reference: Reference, weights: Iterable[StoredWeight]) -> None:
    """Replace the model's weights by these, one at a time to save memory."""
    parameters = dict(reference.model.named_parameters())
    for weight in weights:
        mine = parameters[weight.name].detach().numpy()
        turned = oriented_like(weight.values, mine)
        if turned is None:
            raise ValueError(f"{weight.name} is {weight.values.shape}, in PyTorch {mine.shape}")
        reference.hold({weight.name: np.ascontiguousarray(turned, dtype=np.float32)})
