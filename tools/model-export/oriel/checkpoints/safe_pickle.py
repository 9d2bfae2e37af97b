"""Tensors from torch's pickle format, without running any code that a pickle may hold."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from oriel.checkpoints.unreadable_files import damaged
from oriel.errors import CheckpointError


def load_pickle(file: Path) -> Mapping[str, Tensor]:
    """Return a state dict from torch's pickle format; code in it is never run."""
    loaded: object = None
    try:
        with warnings.catch_warnings():
            # Old files make torch warn of its own storage classes.
            warnings.simplefilter("ignore")
            try:
                loaded = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
            except (RuntimeError, ValueError):
                # Files from before torch 1.6 can't be mapped.
                loaded = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        # The unpickler reads arbitrary bytes; its errors have no common class.
        refused = isinstance(error, pickle.UnpicklingError) and _refused_object(str(error))
        if not refused:
            raise damaged(file, error, "tensors saved by torch") from error
        raise CheckpointError(
            f"{file.name} holds more than tensors and was not loaded",
            got=f"the Python object {refused}, which may run code",
            expected="tensors alone",
            next_step="get the checkpoint as safetensors, or convert it where you trust it.",
        ) from error
    if not isinstance(loaded, Mapping):
        raise _no_state_dict(file, type(loaded).__name__)
    for key, value in loaded.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise _no_state_dict(file, f"{type(value).__name__} under {key!r}")
        if value.layout != torch.strided or value.device.type != "cpu":
            raise CheckpointError(
                f"{key} in {file.name} is no plain tensor",
                got=f"{value.layout} on {value.device.type}".removeprefix("torch."),
                expected="dense values",
                next_step="save model.state_dict() from a model on the CPU.",
            )
    return {key: value.detach() for key, value in loaded.items()}


def _no_state_dict(file: Path, got: str) -> CheckpointError:
    return CheckpointError(
        f"{file.name} isn't a state dict",
        got=got,
        expected="tensors by name",
        next_step="save model.state_dict() instead.",
    )


def _refused_object(message: str) -> str | None:
    """Return the object that torch's unpickler would have had to import or to make, if it is
    named."""
    match = re.search(r"GLOBAL ([\w.]+)|but got <class '([\w.]+)'>", message)
    return match and (match.group(1) or match.group(2))
