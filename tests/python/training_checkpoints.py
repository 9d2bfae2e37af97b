"""Training checkpoints as Lightning, MMEngine and attackers write them, made in the test."""

from __future__ import annotations

import argparse
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


class Settings(dict[str, object]):
    """A dict of a framework's own class, as Lightning's AttributeDict and MMEngine's ConfigDict."""


class MessageHub:
    """An object with a state, as MMEngine's message hub."""

    def __init__(self) -> None:
        self.scalars = {"loss": np.array([0.5, 0.25])}


def hyper_parameters(root: Path) -> dict[str, object]:
    """Hyper-parameters of every kind that torch's own safe reader refuses."""
    return {
        "width": np.int64(40),
        "rate": np.float32(0.5),
        "mean": np.arange(6, dtype=np.float64).reshape(2, 3),
        "root": root,
        "options": argparse.Namespace(depth=3, name="small"),
        "settings": Settings(beta=0.9),
        "device": torch.device("cpu"),
        "dtype": torch.float16,
        "kinds": {"one"},
    }


def lightning_like(state: dict[str, Tensor], root: Path) -> dict[str, object]:
    """Return the top level of a Lightning checkpoint."""
    return {
        "epoch": 3,
        "global_step": 12,
        "pytorch-lightning_version": "2.6.6",
        "state_dict": OrderedDict(state),
        "loops": {"fit_loop": {"state_dict": {}}},
        "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_score": torch.tensor(0.5)}},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": []}],
        "lr_schedulers": [],
        "hparams_name": "kwargs",
        "hyper_parameters": hyper_parameters(root),
        "message_hub": MessageHub(),
    }


class Calls:
    """Pickled, it is a call of a function with arguments."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return self.call


def with_pickle(file: Path, data: bytes) -> Path:
    """Write a checkpoint whose pickle is exactly these bytes."""
    torch.save({}, file)
    with zipfile.ZipFile(file) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w") as archive:
        for name, record in records.items():
            archive.writestr(name, data if name.endswith("/data.pkl") else record)
    return file


def fill(module: nn.Module, seed: int = 0) -> nn.Module:
    """Give every parameter and buffer random values of its own, so that no two are alike."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in (*module.parameters(), *module.buffers()):
            if value.is_floating_point():
                value.copy_(torch.rand(value.shape, generator=draw) + 0.1)
    return module
