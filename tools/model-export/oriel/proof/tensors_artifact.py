"""Stored tensors by name: a file of weights, or a checkpoint's folder. Nothing is run: every
tensor is compared."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from torch import Tensor

from oriel.checkpoints.read_checkpoint import read_checkpoint
from oriel.models.find_checkpoint import find_checkpoint
from oriel.models.weight_files import weight_files
from oriel.proof.artifact import (
    Artifact,
    OwnCase,
    Port,
    Tensors,
    versions_of,
)

SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")


class TensorsArtifact(Artifact):
    """The tensors of a file, or of all files of a checkpoint."""

    kind = "tensors"
    runtime = "none: tensors are read"

    def __init__(self, place: str) -> None:
        self.place = place
        file = Path(place)
        self._files = [file] if file.is_file() else weight_files(find_checkpoint(place).folder)
        self.inputs = ()
        read = [read_checkpoint(file).tensors for file in self._files]
        self._set({name: tensor for tensors in read for name, tensor in tensors.items()})

    def _set(self, tensors: Tensors) -> None:
        self._tensors = tensors
        self.outputs = [
            Port(name, str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))
            for name, tensor in tensors.items()
        ]

    def without_wrapper(self, wanted: Collection[str]) -> bool:
        """Take the name of a wrapper off all names, where one begins them all and the rest are
        among those wanted. Return whether that was so."""
        first, dot, _ = next(iter(self._tensors), "").partition(".")
        prefix = first + dot
        bare = {name.removeprefix(prefix): tensor for name, tensor in self._tensors.items()}
        wrapped = all(name.startswith(prefix) for name in self._tensors)
        if not dot or not wrapped or bare.keys().isdisjoint(wanted):
            return False
        self._set(bare)
        return True

    def own_cases(self) -> Sequence[OwnCase]:
        return (OwnCase("the stored tensors", {}),)

    def run(self, calls: Sequence[Tensors], wanted: Sequence[str]) -> list[dict[str, Tensor]]:
        return [{name: self._tensors[name] for name in wanted} for _ in calls]

    def files(self) -> tuple[Path, Sequence[Path]]:
        return self._files[0].parent, self._files

    def versions(self) -> dict[str, str]:
        return versions_of(("torch", "safetensors"))


def share_names(one: TensorsArtifact, other: TensorsArtifact) -> None:
    """Give two files of one model's weights the same names, where one was saved inside of a
    wrapper."""
    names = [{port.name for port in side.outputs} for side in (one, other)]
    if names[0].isdisjoint(names[1]) and not one.without_wrapper(names[1]):
        other.without_wrapper(names[0])


def is_weights(place: str) -> bool:
    """Return whether a place is a file of weights."""
    path = Path(place)
    return path.is_file() and path.suffix in SUFFIXES
