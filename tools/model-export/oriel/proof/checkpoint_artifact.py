"""A checkpoint of a model that generates text, run by transformers in float32, with hooks that
record the contract's activations."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from oriel.models.find_checkpoint import find_checkpoint
from oriel.models.load_model import LoadedModel, load_model
from oriel.models.weight_files import weight_files
from oriel.proof.artifact import Artifact, Port, Tensors, versions_of
from oriel.proof.contract_ports import inner_ports
from oriel.verification.cases import OWN_TEXT, text_ids
from oriel.verification.reference_cases import SEED
from oriel.verification.run_reference import Reference


class CheckpointArtifact(Artifact):
    """The checkpoint without padding and without a past: each text begins at position 0."""

    kind = "checkpoint"
    runtime = "PyTorch, eager, float32"

    def __init__(self, place: str) -> None:
        self.place = place
        self._loaded: LoadedModel = load_model(find_checkpoint(place))
        shape = self._loaded.shape
        self.inputs = [Port("input_ids", "int64", ("batch_size", "sequence_length"))]
        self.outputs = inner_ports(shape)
        self.vocabulary, self.longest = shape.vocab, shape.context_length

    @cached_property
    def _reference(self) -> Reference:
        return Reference(self._loaded)

    @cached_property
    def text(self) -> Sequence[int]:
        """Token ids of English, or of what the model itself writes."""
        return text_ids(self._loaded) or self._reference.own_text(OWN_TEXT, SEED)

    def run(self, calls: Sequence[Tensors], wanted: Sequence[str]) -> list[dict[str, Tensor]]:
        found = []
        for call in calls:
            got = self._reference.run(call["input_ids"].numpy(), wanted)
            found.append({name: torch.from_numpy(got[name]) for name in wanted})
        return found

    def files(self) -> tuple[Path, Sequence[Path]]:
        folder = self._loaded.source.folder
        return folder, [folder / "config.json", *weight_files(folder)]

    def versions(self) -> dict[str, str]:
        return versions_of(("torch", "transformers"))
