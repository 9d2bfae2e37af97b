"""The checkpoint in PyTorch as the reference. The only file of fidelity that needs torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from oriel.arrays import Array
from oriel.bundle.write_weights import checkpoint_digest
from oriel.contract.activation_names import LENS_KINDS, kinds, parse_name
from oriel.contract.manifest import Manifest
from oriel.errors import CheckpointError
from oriel.fidelity.reference_values import Arrays, ReferenceKind
from oriel.verification.run_reference import Reference
from oriel.verification.verify import find_reference

Ids = npt.NDArray[np.int64]


class PytorchReference:
    """transformers' own model, as verification runs it."""

    kind: ReferenceKind = "pytorch"

    def __init__(self, reference: Reference) -> None:
        self.reference = reference

    def logits(self, ids: Ids) -> Array:
        """Return (1, seq, vocab) for ids (1, seq)."""
        return self.reference.run(ids, ["logits"])["logits"]

    def activations(self, ids: Ids, names: Sequence[str]) -> Arrays:
        """Return activations of ids (1, seq), by contract name; scores are unmasked."""
        lens = {n: layer for n in names if (layer := _lens_layer(n)) is not None}
        resid = kinds()["resid_post"]
        streams = {resid.at(layer) for layer in lens.values()}
        plain = [name for name in names if name not in lens]
        found = self.reference.run(ids, [*dict.fromkeys([*plain, *streams])])
        count = self.reference.shape.lens_k
        for name, layer in lens.items():
            parts = [
                -np.sort(-np.partition(probs, -count, axis=-1)[..., -count:], axis=-1)
                for _, probs in self.reference.lens(found[resid.at(layer)])
            ]
            found[name] = np.concatenate(parts, axis=1)
        return {name: found[name] for name in names}


def open_reference(manifest: Manifest, checkpoint: Path | None) -> PytorchReference:
    """Open the checkpoint that a bundle was made from: the folder given, or the manifest's source.
    Raises CheckpointError where its weights are others."""
    loaded = find_reference(manifest, checkpoint)
    said = manifest.data["model"]["weights_digest"]
    found = checkpoint_digest(loaded.checkpoint)
    if found != said:
        raise CheckpointError(
            "the checkpoint is not what the bundle was exported from",
            got=f"weights {found[:17]}…",
            expected=f"{said[:17]}…",
            next_step="name the right one with --checkpoint FOLDER, or export again.",
        )
    return PytorchReference(Reference(loaded))


def _lens_layer(name: str) -> int | None:
    parsed = parse_name(name)
    return parsed[1] if parsed is not None and parsed[0].kind == LENS_KINDS[1] else None
