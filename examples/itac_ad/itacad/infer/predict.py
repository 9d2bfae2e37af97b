"""Loading a trained detector, strictly."""

from __future__ import annotations

from pathlib import Path

import torch

from itacad.model.detector import Config, Detector
from itacad.training import CHECKPOINT
from oriel.checkpoints.load_strictly import load_strictly
from oriel.checkpoints.read_checkpoint import read_checkpoint
from oriel.contract.json_value import object_at
from oriel.errors import CheckpointError


def load_model(
    checkpoint: str | Path, device: str = "cpu"
) -> tuple[Detector, torch.device, Config]:
    """Return the detector of a training's folder or file, its device and its config. Parts that
    training built on its first step are built before loading, and everything is in eval mode.

    Raises CheckpointError for what is no such checkpoint, or lacks or has a tensor too many.
    """
    path = Path(checkpoint)
    read = read_checkpoint(path / CHECKPOINT if path.is_dir() else path)
    stored = object_at(read.data, "config")
    known = Config.__dataclass_fields__
    kinds = {name: type(field.default) for name, field in known.items()}
    if {name: type(value) for name, value in stored.items()} != kinds:
        raise CheckpointError(
            f"{read.file.name} isn't a detector's",
            got=f"a config of {stored or 'nothing'}",
            expected=", ".join(f"{name} ({kind.__name__})" for name, kind in kinds.items()),
            next_step="train one: itacad train --out DIR.",
        )
    config = Config(**stored)  # type: ignore[arg-type]
    model = Detector(config)
    load_strictly(model, read.tensors)
    where = torch.device(device)
    return model.to(where).eval(), where, config
