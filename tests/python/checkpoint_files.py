"""Checkpoints made by hand, so that one thing at a time can be wrong with them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from oriel.errors import OrielError
from oriel.models.find_checkpoint import find_checkpoint
from oriel.models.load_model import LoadedModel, load_model

Tensors = dict[str, Tensor]


def tensors_of(checkpoint: Path) -> Tensors:
    """All of its tensors, by the names in the file."""
    loaded: Tensors = load_file(checkpoint / "model.safetensors")
    return loaded


def copy_checkpoint(
    original: Path,
    folder: Path,
    *,
    config: Mapping[str, Any] | None = None,
    drop: tuple[str, ...] = (),
    change: Callable[[Tensors], object] = lambda tensors: None,
    save: Callable[[Tensors, Path], object] | None = None,
) -> Path:
    """Write a checkpoint like `original`, with entries of config.json set or dropped, with tensors
    changed in place, saved by `save` or as model.safetensors."""
    folder.mkdir(parents=True)
    settings = json.loads((original / "config.json").read_text())
    settings |= config or {}
    for key in drop:
        settings.pop(key, None)
    (folder / "config.json").write_text(json.dumps(settings))
    tensors = tensors_of(original)
    change(tensors)
    (save or save_as_safetensors)(tensors, folder)
    return folder


def save_as_safetensors(tensors: Tensors, folder: Path) -> None:
    save_file(tensors, folder / "model.safetensors")


def save_as_zip_pickle(tensors: Tensors, folder: Path) -> None:
    torch.save(tensors, folder / "pytorch_model.bin")


def save_as_old_pickle(tensors: Tensors, folder: Path) -> None:
    torch.save(tensors, folder / "pytorch_model.bin", _use_new_zipfile_serialization=False)


def save_in_shards(tensors: Tensors, folder: Path) -> None:
    """Two shards and their index, as transformers writes them."""
    names = sorted(tensors)
    halves = {
        "model-00001-of-00002.safetensors": names[::2],
        "model-00002-of-00002.safetensors": names[1::2],
    }
    for file, inside in halves.items():
        save_file({name: tensors[name] for name in inside}, folder / file)
    places = {name: file for file, inside in halves.items() for name in inside}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))


class RunsCode:
    """Pickled, it is a call of os.system that leaves a file behind."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch '{self.trace}'",)


def load(folder: Path) -> LoadedModel:
    return load_model(find_checkpoint(str(folder)))


def error_of(folder: Path) -> str:
    """The one line that loading it ends in."""
    try:
        load(folder)
    except OrielError as error:
        return checked_line(str(error))
    raise AssertionError(f"{folder.name} was loaded without a complaint")


def checked_line(line: str) -> str:
    """The line, if it is one that a person can read."""
    assert line.isprintable(), line
    assert "Traceback" not in line
    assert len(line) < 500, line
    return line
