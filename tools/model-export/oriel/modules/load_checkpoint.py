"""A checkpoint's tensors, and a strict load of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from oriel.checkpoints.tensors import StoredTensors, stored_tensors
from oriel.errors import CheckpointError, first_few


@dataclass(frozen=True)
class ForeignObject:
    """An object in a checkpoint that isn't plain data."""

    place: str
    name: str
    """Its class."""


@dataclass(frozen=True)
class ReadCheckpoint:
    """What a checkpoint holds."""

    tensors: Mapping[str, Tensor]
    foreign: tuple[ForeignObject, ...] = ()
    """Objects in whose place inert stubs stand: no code of theirs ran."""


def read_checkpoint(file: Path, *, unsafe_pickle: bool = False) -> ReadCheckpoint:
    """Return the tensors of a checkpoint, running no code of its."""
    if not file.is_file():
        raise CheckpointError(f"there is no checkpoint {file}", expected="a file")
    stored = {tensor.key: tensor for tensor in stored_tensors([file])}
    values = StoredTensors(stored)
    return ReadCheckpoint({name: values.read(name) for name in stored})


def load_strictly(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load tensors by name. Raises CheckpointError naming a tensor that is missing, unexpected, or
    of another shape; nothing is loaded then."""
    own = module.state_dict()
    for what, names in (
        ("lacks tensors of the module", [name for name in own if name not in tensors]),
        ("has tensors that the module lacks", [name for name in tensors if name not in own]),
    ):
        if names:
            raise CheckpointError(
                f"the checkpoint {what}",
                got=first_few(names),
                expected=f"the {len(own)} tensors of {type(module).__name__}",
                next_step="check that it is of this model; the spec's prefix and drop leave "
                "tensors out by name.",
            )
    for name, tensor in tensors.items():
        if tensor.shape != own[name].shape:
            raise CheckpointError(
                f"the checkpoint's {name} has another shape",
                got=str(list(tensor.shape)),
                expected=str(list(own[name].shape)),
            )
    module.load_state_dict(tensors, strict=True)
