"""Reading a training checkpoint of any framework: the model's tensors by name, what else it holds
as plain data, and a list of the objects that were left inert."""

from __future__ import annotations

import pickle
import re
import sys
import tarfile
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from oriel.checkpoints.inert_pickle import (
    InertPickleModule,
    PickledCodeError,
    RefusedPickleError,
)
from oriel.checkpoints.plain_data import ForeignObject, PlainCheckpoint, TensorPath, to_plain
from oriel.checkpoints.unreadable_files import check_holds_weights, damaged
from oriel.contract.json_value import JsonObject
from oriel.errors import CheckpointError, first_few

_STATE_DICTS = ("state_dict", "model_state_dict", "model", "module", "net", "weights")
"""Keys under which training programs keep the model's state dict."""
_MAX_EXPANDED_BYTES = 1 << 30


@dataclass(frozen=True)
class ReadCheckpoint:
    """The contents of a checkpoint."""

    file: Path
    tensors: dict[str, Tensor]
    """The model's tensors by the names of its state dict, on the CPU, in the file's dtypes."""
    state_dict_at: str
    """The path of the model's state dict in the file; empty where the file is one."""
    other_tensors: dict[str, Tensor]
    """All others by path: an optimizer's state, averages."""
    data: JsonObject
    """Everything else, by key; a tensor or an object left out is None here."""
    foreign: tuple[ForeignObject, ...]
    """The objects of other classes. Unless unsafe_pickle was asked for, inert stubs stood in for
    them and no code of theirs ran."""


def read_checkpoint(path: Path, *, unsafe_pickle: bool = False) -> ReadCheckpoint:
    """Read a safetensors file, or one that torch.save or Lightning wrote. No code that it names
    runs.

    unsafe_pickle: run it nevertheless, and say so on stderr. Raises CheckpointError for a file that
    isn't a checkpoint, is damaged, holds no tensor or a pickle made to run programs.
    """
    if not path.is_file():
        raise CheckpointError(
            f"there is no checkpoint {path}",
            got="a folder" if path.is_dir() else "nothing",
            expected="a file such as last.ckpt, model.pth or model.safetensors",
            next_step="name the file itself.",
        )
    check_holds_weights(path)
    if zipfile.is_zipfile(path):
        _check_archive(path)
    elif _is_safetensors(path):
        return _read_safetensors(path)
    elif tarfile.is_tarfile(path):
        raise _no_checkpoint(path, "a tar archive")
    found = _read_unsafely(path) if unsafe_pickle else _read_safely(path)
    return _sorted(path, found)


def _check_archive(path: Path) -> None:
    """Refuse torch's other archives, which torch.load would hand to loaders of programs."""
    try:
        records = torch._C.PyTorchFileReader(str(path)).get_all_records()
    except RuntimeError as error:
        raise damaged(path, error, "a whole checkpoint") from error
    if "constants.pkl" in records:
        raise _no_checkpoint(path, "a TorchScript program")
    if "data.pkl" not in records:
        raise _no_checkpoint(path, "a zip archive of something else")


def _no_checkpoint(path: Path, got: str) -> CheckpointError:
    return CheckpointError(
        f"{path.name} is no checkpoint",
        got=got,
        expected="a file that torch.save, Lightning or safetensors wrote",
        next_step="name the checkpoint that it was made from.",
    )


def _is_safetensors(path: Path) -> bool:
    with path.open("rb") as opened:
        start = opened.read(9)
    return path.suffix == ".safetensors" or start[8:] == b"{"


def _read_safetensors(path: Path) -> ReadCheckpoint:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise damaged(path, error, "a whole safetensors file") from error
    _check_tensors(path, tensors)
    return ReadCheckpoint(path, tensors, "", {}, {**metadata}, ())


def _read_safely(path: Path) -> PlainCheckpoint:
    try:
        try:
            loaded = _load(path, None)
        except pickle.UnpicklingError:
            # torch's own safe reader refuses the file for the objects in it.
            loaded = _load(path, InertPickleModule)
        return to_plain(loaded)
    except PickledCodeError as error:
        raise CheckpointError(
            f"{path.name} holds code",
            got=f"a call of {error.name}",
            expected="tensors and plain data",
            next_step="none of it was run; get the model from someone else, as safetensors.",
        ) from error
    except RefusedPickleError as error:
        raise CheckpointError(
            f"{path.name} holds what no training program saves",
            got=str(error),
            expected="tensors and plain data",
            next_step="none of it was used; save the model anew, as safetensors.",
        ) from error
    except CheckpointError:
        raise
    except (Exception, RecursionError) as error:
        # A pickle is a program over arbitrary bytes: its errors have no common class.
        raise damaged(path, error, "a checkpoint saved by torch") from error


def _load(path: Path, reader: type[InertPickleModule] | None) -> object:
    """Call torch.load with its own safe reader, or with the inert one."""
    how: dict[str, object] = {"map_location": "cpu", "weights_only": reader is None}
    if reader is not None:
        how["pickle_module"] = reader
    with warnings.catch_warnings():
        # Old files make torch warn of its own storage classes.
        warnings.simplefilter("ignore")
        if zipfile.is_zipfile(path):
            how["mmap"] = True
        return torch.load(path, **how)  # type: ignore[arg-type]


def _read_unsafely(path: Path) -> PlainCheckpoint:
    print(
        f"warning: --unsafe-pickle: any code in {path.name} runs now, with all your rights",
        file=sys.stderr,
        flush=True,
    )
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=False)
    except Exception as error:
        # Its own code runs, so that anything may be raised.
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(
            f"{path.name} can't be loaded by running its code",
            got=f"{type(error).__name__}: {reason}",
            next_step="install what it names, or leave out --unsafe-pickle.",
        ) from error
    return to_plain(loaded)


def _sorted(path: Path, found: PlainCheckpoint) -> ReadCheckpoint:
    at = _state_dict_path(found)
    model: dict[str, Tensor] = {}
    others: dict[str, Tensor] = {}
    for place, tensor in found.tensors.items():
        inside = place[: len(at)] == at and (bool(at) or not _is_training_state(place, found))
        names, name = (model, place[len(at) :]) if inside else (others, place)
        dotted = ".".join(name)
        if dotted in names:
            raise CheckpointError(
                f"two tensors of {path.name} have one name",
                got=dotted,
                next_step="rename one of them where it was saved.",
            )
        names[dotted] = tensor
    _check_tensors(path, model)
    _check_none_left(path, found, at)
    data: JsonObject = found.data if isinstance(found.data, dict) else {}
    return ReadCheckpoint(path, model, ".".join(at), others, data, tuple(found.foreign))


def _state_dict_path(found: PlainCheckpoint) -> TensorPath:
    """Return the path of the model's state dict: below the wrappers that programs put around it."""
    at: TensorPath = ()
    while True:
        below = {place[len(at)] for place in found.tensors if place[: len(at)] == at}
        wrapped = [
            key
            for key in _STATE_DICTS
            if key in below and (*at, key) not in found.tensors and _is_wrapper(found, (*at, key))
        ]
        if not wrapped:
            return at
        at = (*at, wrapped[0])


def _is_wrapper(found: PlainCheckpoint, at: TensorPath) -> bool:
    data: object = found.data
    for key in at:
        data = data.get(key) if isinstance(data, dict) else None
    return isinstance(data, dict)


def _is_training_state(place: TensorPath, found: PlainCheckpoint) -> bool:
    """Return whether a tensor belongs to an optimizer or a schedule."""
    top = place[0]
    data = found.data.get(top) if isinstance(found.data, dict) else None
    has_groups = isinstance(data, dict) and "param_groups" in data
    return has_groups or re.search(r"optim|sched", top.lower()) is not None


def _check_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    if not tensors:
        raise CheckpointError(
            f"{path.name} holds no tensor of a model",
            expected=f"a state dict, by itself or under {first_few(_STATE_DICTS)}",
            next_step="save model.state_dict().",
        )
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.is_quantized:
            kind = "quantized" if tensor.is_quantized else str(tensor.layout)
            raise CheckpointError(
                f"{name} in {path.name} is no plain tensor",
                got=f"{kind} on {tensor.device.type}".removeprefix("torch."),
                expected="dense values",
                next_step="save model.state_dict() from a model on the CPU.",
            )
        if tensor.nbytes > max(tensor.untyped_storage().nbytes(), _MAX_EXPANDED_BYTES):
            raise CheckpointError(
                f"{name} in {path.name} repeats few values many times",
                got=f"{tensor.nbytes} bytes of {tensor.untyped_storage().nbytes()}",
                expected=f"at most {_MAX_EXPANDED_BYTES} bytes of an expanded tensor",
                next_step="don't use this file unless you know why.",
            )


def _check_none_left(path: Path, found: PlainCheckpoint, at: TensorPath) -> None:
    """Refuse a state dict in which an object stood for a tensor: the model would lack it."""
    inside = ".".join(at)
    for foreign in found.foreign:
        if at and foreign.place.startswith(f"{inside}.") and not foreign.read:
            raise CheckpointError(
                f"{foreign.place} in {path.name} can't be read as a tensor",
                got=f"an object made by {foreign.name}",
                expected="dense values",
                next_step="save the state dict with plain tensors, or read it where you trust it "
                "with --unsafe-pickle.",
            )
