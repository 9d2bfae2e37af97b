"""A PyTorch module that a spec builds, or an encoder of transformers: run as it is, eagerly."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from oriel.formats.format import FlatCall
from oriel.modules.convert import NOTHING_WRITTEN, export_request
from oriel.modules.metadata import TensorRow
from oriel.modules.prepared_module import PreparedModule, prepare
from oriel.modules.spec import NamedSpec
from oriel.proof.artifact import (
    Artifact,
    OwnCase,
    Port,
    Tensors,
    versions_of,
)


class ModuleArtifact(Artifact):
    """The module with the flat names that its files have. It brings the inputs of verification."""

    kind = "module"
    runtime = "PyTorch, eager"

    def __init__(self, place: str, named: NamedSpec, files: Sequence[Path] = ()) -> None:
        """files: those of its weights, for the record."""
        self.place, self.named, self._files = place, named, files
        rows = self._prepared.signature
        self.inputs = [_port(row) for row in rows.inputs]
        self.outputs = [_port(row) for row in rows.outputs]

    @cached_property
    def _prepared(self) -> PreparedModule:
        return prepare(export_request(self.named, None, NOTHING_WRITTEN))

    @property
    def call(self) -> FlatCall:
        """Return the module with flat inputs and outputs, and its example."""
        return self._prepared.call

    def own_cases(self) -> Sequence[OwnCase]:
        names = self._prepared.call.input_names
        return [
            OwnCase(case.name, dict(zip(names, case.inputs, strict=True)))
            for case in self._prepared.cases
        ]

    def run(self, calls: Sequence[Tensors], wanted: Sequence[str]) -> list[dict[str, Tensor]]:
        call = self._prepared.call
        found = []
        for inputs in calls:
            with torch.no_grad():
                got = call.module(*(inputs[name].clone() for name in call.input_names))
            named = dict(zip(call.output_names, got, strict=True))
            found.append({name: named[name] for name in wanted})
        return found

    def files(self) -> tuple[Path, Sequence[Path]]:
        return self.named.file.parent, [self.named.file, *self._files]

    def versions(self) -> dict[str, str]:
        return versions_of(("torch", "transformers"))


def _port(row: TensorRow) -> Port:
    shape = tuple(row.axes.get(axis, size) for axis, size in enumerate(row.tensor.shape))
    return Port(row.name, str(row.tensor.dtype).removeprefix("torch."), shape)
