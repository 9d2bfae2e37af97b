"""The result of a checkpoint's reader, as tensors by path and plain data, with a list of the
objects that are neither. Nothing of such an object is called."""

from __future__ import annotations

import argparse
import math
import re
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePath

import numpy as np
import torch
from torch import Tensor, nn

from oriel.checkpoints.inert_pickle import HeldTensor, InertObject
from oriel.contract.json_value import JsonValue
from oriel.errors import CheckpointError

TensorPath = tuple[str, ...]


@dataclass(frozen=True)
class ForeignObject:
    """An object of a class that isn't plain data."""

    place: str
    """Its path in the checkpoint, such as hyper_parameters.root."""
    name: str
    """Its class, or the function that would have made it."""
    read: bool
    """True if its value is in the plain data, as the text of a path is; False if it is left
    out."""


@dataclass
class PlainCheckpoint:
    """Everything that a checkpoint holds, sorted into three kinds."""

    tensors: dict[TensorPath, Tensor] = field(default_factory=dict)
    data: JsonValue = None
    foreign: list[ForeignObject] = field(default_factory=list)


def to_plain(value: object) -> PlainCheckpoint:
    """Sort a checkpoint's content. Raises CheckpointError where it is nested too deep, is too long
    to be one, or has two entries of one name."""
    found = PlainCheckpoint()
    found.data = _Sorter(found).sort(value, ())
    return found


_MAX_DEPTH = 200
_MAX_ENTRIES = 2_000_000
_MODULE_PARTS = ("_parameters", "_buffers", "_modules")
"""The attributes in which a pickled module keeps what its state dict names."""


class _Sorter:
    def __init__(self, found: PlainCheckpoint) -> None:
        self._found = found
        self._entries = 0
        self._open: set[int] = set()

    def sort(self, value: object, path: TensorPath) -> JsonValue:
        """Return a value as plain data; tensors go to the result under their path."""
        self._entries += 1
        if self._entries > _MAX_ENTRIES or len(path) > _MAX_DEPTH:
            raise CheckpointError(
                "the checkpoint isn't read to its end",
                got="more entries, or deeper nesting, than any training state has",
                expected=f"{_MAX_ENTRIES} entries, {_MAX_DEPTH} deep, at most",
                next_step="save model.state_dict() alone.",
            )
        if value is None or isinstance(value, (bool, str)):
            return value
        if isinstance(value, (HeldTensor, Tensor)):
            self._add_tensor(value.tensor if isinstance(value, HeldTensor) else value, path)
            return None
        number = _number(value)
        if number is not None:
            return number
        if id(value) in self._open:
            self._note(path, "a reference to an object around it", read=False)
            return None
        self._open.add(id(value))
        try:
            return self._sort_object(value, path)
        finally:
            self._open.discard(id(value))

    def _sort_object(self, value: object, path: TensorPath) -> JsonValue:
        if type(value) in (dict, OrderedDict):
            assert isinstance(value, dict)
            return self._entries_of(dict.items(value), path)
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self.sort(item, (*path, str(at))) for at, item in enumerate(value)]
        if isinstance(value, (torch.dtype, torch.device)):
            return str(value)
        if isinstance(value, InertObject):
            return self._inert(value, path)
        return self._living(value, path)

    def _entries_of(self, entries: Iterable[tuple[object, object]], path: TensorPath) -> JsonValue:
        plain: dict[str, JsonValue] = {}
        for key, value in entries:
            name = key if isinstance(key, str) else str(_number(key) or _shown_key(key))
            # A pickle may hold half of a surrogate pair, which no file of ours could.
            name = name.encode("utf-8", "replace").decode("utf-8")
            if name in plain:
                raise CheckpointError(
                    "two entries of the checkpoint have one name",
                    got=".".join((*path, name)),
                    next_step="rename one of them where it was saved.",
                )
            plain[name] = self.sort(value, (*path, name))
        return plain

    def _inert(self, value: InertObject, path: TensorPath) -> JsonValue:
        name = value.inert_name or "the result of a call"
        array = _array(value)
        if array is not None:
            self._note(path, name, read=True)
            if array.shape == ():
                return _number(array.item())
            self._add_tensor(torch.from_numpy(array), path)
            return None
        if re.fullmatch(r"pathlib\.(?:_local\.)?(?:Pure)?(?:Posix|Windows)?Path", name):
            self._note(path, name, read=True)
            return str(PurePath(*(str(part) for part in value.arguments)))
        if value.entries or value.appended or isinstance(value.state, (dict, tuple)):
            self._note(path, name, read=True)
            return self._content(value, path)
        self._note(path, name, read=False)
        # Tensors may stand among the arguments; they are not lost with their object.
        for at, argument in enumerate(value.arguments):
            if not isinstance(argument, type):
                self.sort(argument, (*path, str(at)))
        return None

    def _content(self, value: InertObject, path: TensorPath) -> JsonValue:
        if value.entries:
            return self._entries_of(value.entries, path)
        if value.appended:
            return self.sort(value.appended, path)
        state = value.state
        if isinstance(state, tuple):
            # (the object's __dict__, its slots), or a state of the class's own making.
            parts = [part for part in state if isinstance(part, dict)]
            state = {key: item for part in parts for key, item in part.items()} if parts else state
        if isinstance(state, dict) and {"_parameters", "_modules"} <= state.keys():
            state = _module_entries(state)
        return self.sort(state, path)

    def _living(self, value: object, path: TensorPath) -> JsonValue:
        """Sort an object that --unsafe-pickle made, or a plain one that torch allows."""
        name = f"{type(value).__module__}.{type(value).__qualname__}"
        read: object = None
        if isinstance(value, np.ndarray) and value.dtype.kind in "biuf" and value.shape:
            read = torch.from_numpy(value.copy())
        elif isinstance(value, nn.Module):
            read = dict(value.state_dict())
        elif isinstance(value, PurePath):
            read = str(value)
        elif isinstance(value, argparse.Namespace):
            read = vars(value)
        elif isinstance(value, Mapping):
            read = dict(value)
        self._note(path, name, read=read is not None)
        return None if read is None else self.sort(read, path)

    def _add_tensor(self, tensor: Tensor, path: TensorPath) -> None:
        self._found.tensors[path] = tensor.detach()

    def _note(self, path: TensorPath, name: str, *, read: bool) -> None:
        self._found.foreign.append(ForeignObject(".".join(path), name, read))


def _shown_key(key: object) -> str:
    if isinstance(key, tuple):
        return ",".join(str(_number(part) or part) for part in key)
    return key.inert_name if isinstance(key, InertObject) else str(key)


def _number(value: object) -> bool | int | float | str | None:
    """Return a number as JSON holds it, as text where JSON has none such: complex ones, NaN and
    infinity; None for anything else."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, np.generic):
        return _number(value.item())
    return str(value) if isinstance(value, complex) else None


def _module_entries(state: Mapping[str, object]) -> dict[str, object]:
    """Return a pickled module's own parameters, buffers and submodules under their names."""
    entries: dict[str, object] = {}
    dropped = state.get("_non_persistent_buffers_set")
    for part in _MODULE_PARTS:
        found = state.get(part)
        if isinstance(found, dict):
            for name, value in dict.items(found):
                if value is not None and not (isinstance(dropped, list) and name in dropped):
                    entries[name] = value
    return entries


_NUMPY = re.compile(
    r"numpy\.(?:_core|core)\.(multiarray|numeric)\.(scalar|_reconstruct|_frombuffer)"
)


def _array(value: InertObject) -> np.ndarray | None:
    """Return a NumPy array, of no dimension for a scalar, from what its pickle says; None for
    other objects and for arrays of objects."""
    match = _NUMPY.fullmatch(value.inert_name)
    if match is None:
        return None
    arguments, state = value.arguments, value.state
    shape: object = ()
    columns_first: object = False
    if match.group(2) == "scalar" and len(arguments) == 2:
        kind, data = arguments
    elif match.group(2) == "_frombuffer" and len(arguments) == 4:
        data, kind, shape, order = arguments
        columns_first = order == "F"
    elif isinstance(state, tuple) and len(state) == 5:
        _, shape, kind, columns_first, data = state
    else:
        return None
    dtype = _dtype(kind)
    if dtype is None or not isinstance(data, bytes) or not isinstance(shape, tuple):
        return None
    try:
        flat = np.frombuffer(data, dtype=dtype).astype(dtype.newbyteorder("="))
        return flat.reshape(shape, order="F" if columns_first is True else "C").copy()
    except (ValueError, TypeError):
        # Its sizes contradict each other: an object that isn't read, not an array.
        return None


def _dtype(value: object) -> np.dtype | None:
    if not isinstance(value, InertObject) or value.inert_name != "numpy.dtype":
        return None
    code = value.arguments[0] if value.arguments else None
    if not isinstance(code, str) or not re.fullmatch(r"b1|[iu][1248]|f[248]", code):
        return None
    state = value.state
    order = state[1] if isinstance(state, tuple) and len(state) > 1 else "="
    return np.dtype(code).newbyteorder(">" if order == ">" else "<" if order == "<" else "=")
