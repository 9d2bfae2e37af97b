"""A pickle reader that imports nothing and calls nothing that a file names. Tensors and plain
containers are made; in place of every other object stands an InertObject that records what it was
made of. plain_data.py turns the result into plain data."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable
from typing import IO, ClassVar, NoReturn

import torch
from torch import Tensor
from torch.storage import TypedStorage


class RefusedPickleError(pickle.UnpicklingError):
    """The pickle asks for something that only an attack asks for, or that can't be a checkpoint."""


class PickledCodeError(RefusedPickleError):
    """The pickle names a function that runs programs or code."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class InertObject:
    """Stands for an object of a foreign class, or for the result of a foreign function. It keeps
    what the pickle gave it and does nothing with it."""

    inert_name: ClassVar[str] = ""
    """The class's or the function's full name, such as pathlib.PosixPath."""

    def __new__(cls, *arguments: object, **_: object) -> InertObject:
        made = super().__new__(cls)
        made.arguments = arguments
        made.state = None
        made.appended = []
        made.entries = []
        return made

    def __init__(self, *arguments: object, **_: object) -> None:
        self.arguments: tuple[object, ...]
        self.state: object
        self.appended: list[object]
        self.entries: list[tuple[object, object]]

    def __call__(self, *arguments: object) -> InertObject:
        """Return an inert object: pickles of bound methods call what getattr returned."""
        return InertObject(self, *arguments)

    def __setstate__(self, state: object) -> None:
        self.state = state

    def append(self, item: object) -> None:
        """Keep an item of what was a list's subclass."""
        self.appended.append(item)

    def extend(self, items: list[object]) -> None:
        """Keep items of what was a list's subclass."""
        self.appended.extend(items)

    add = append

    def __setitem__(self, key: object, value: object) -> None:
        """Keep an entry of what was a dict's subclass."""
        self.entries.append((key, value))


class HeldTensor:
    """Hides a tensor from the pickle that made it: BUILD could otherwise call its __setstate__."""

    __slots__ = ("tensor",)

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    def __setstate__(self, state: object) -> NoReturn:
        raise RefusedPickleError("a state set on a tensor")


class _Bytes:
    """Stands for torch.storage.UntypedStorage, whose dtype torch stores beside each tensor. The
    class itself would let a pickle set attributes on it."""

    __slots__ = ()
    dtype = torch.uint8

    def __setstate__(self, state: object) -> NoReturn:
        raise RefusedPickleError("a state set on a class")


class _Maker:
    """One of the few functions that a checkpoint may call; nothing can be set on it."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[..., object]) -> None:
        self._make = make

    def __call__(self, *arguments: object) -> object:
        return self._make(*arguments)

    def __setstate__(self, state: object) -> NoReturn:
        raise RefusedPickleError("a state set on a function")


class InertUnpickler(pickle.Unpickler):
    """Reads a pickle as the module's docstring says."""

    def __init__(self, file: IO[bytes], **settings: object) -> None:
        # Names of Python 2's modules need no translation here, and bytes stay bytes.
        super().__init__(file, fix_imports=False, encoding="latin1")
        self._inert: dict[str, type[InertObject]] = {}

    def find_class(self, module: str, name: str, /) -> object:
        """Return what stands for this global; nothing is imported."""
        path = f"{module}.{name}"
        if path in _MAKERS:
            return _MAKERS[path]
        if path in _PLAIN_CLASSES:
            return _PLAIN_CLASSES[path]
        if module == "torch" and isinstance(getattr(torch, name, None), torch.dtype):
            return getattr(torch, name)
        if module.split(".")[0] in _CODE_MODULES or path in _CODE_FUNCTIONS:
            raise PickledCodeError(path)
        if path not in self._inert:
            self._inert[path] = type("Inert", (InertObject,), {"inert_name": path})
        return self._inert[path]


class InertPickleModule:
    """The object that torch.load takes as its pickle_module."""

    __name__ = "inert_pickle"
    Unpickler = InertUnpickler

    @staticmethod
    def load(file: IO[bytes], **settings: object) -> object:
        """Read one pickle: files from before torch 1.6 have several, one after another."""
        return InertUnpickler(file, **settings).load()


def _tensor(
    storage: object, offset: object, size: object, stride: object, *rest: object
) -> HeldTensor:
    """Return a view of a storage, for torch._utils._rebuild_tensor and its second version."""
    if not isinstance(storage, TypedStorage):
        raise RefusedPickleError("a tensor of something else than a storage")
    return _view(storage, storage.dtype, (offset, size, stride))


def _tensor_v3(
    storage: object,
    offset: object,
    size: object,
    stride: object,
    grad: object,
    hooks: object,
    dtype: object,
    *rest: object,
) -> HeldTensor:
    """Return a view of a storage whose dtype stands beside it."""
    if not isinstance(storage, TypedStorage) or not isinstance(dtype, torch.dtype):
        raise RefusedPickleError("a tensor of something else than a storage")
    return _view(storage, dtype, (offset, size, stride))


def _view(storage: TypedStorage, dtype: torch.dtype, place: tuple[object, ...]) -> HeldTensor:
    offset, size, stride = place
    numbers = [offset, *_whole_numbers(size), *_whole_numbers(stride)]
    if any(type(number) is not int or number < 0 for number in numbers):
        raise RefusedPickleError("a tensor whose size is no number")
    offset, size, stride = int(str(offset)), _whole_numbers(size), _whole_numbers(stride)
    if len(size) != len(stride):
        raise RefusedPickleError("a tensor with a stride for other dimensions")
    # torch would make the storage larger, with whatever the memory held before.
    bytes_there = storage._untyped_storage.nbytes()
    last = offset + sum((s - 1) * t for s, t in zip(size, stride, strict=True))
    if 0 not in size and (last + 1) * dtype.itemsize > bytes_there:
        raise RefusedPickleError("a tensor that is larger than its storage")
    empty = torch.empty((0,), dtype=dtype)
    return HeldTensor(empty.set_(storage._untyped_storage, offset, size, stride))


def _whole_numbers(value: object) -> tuple[int, ...]:
    if not isinstance(value, tuple):
        raise RefusedPickleError("a tensor whose size is no tuple")
    return tuple(value)


def _parameter(data: object, *rest: object) -> HeldTensor:
    """Return a parameter's values."""
    if not isinstance(data, HeldTensor):
        raise RefusedPickleError("a parameter of something else than a tensor")
    return data


def _subclass(make: object, kind: object, arguments: object, state: object) -> object:
    """Return a tensor of a subclass, or one with attributes, as the tensor that it holds."""
    if not isinstance(make, _Maker) or not isinstance(arguments, tuple):
        return InertObject(make, kind, arguments, state)
    return make(*arguments)


def _encode(text: object, encoding: object = "latin1") -> bytes:
    """Return bytes, which protocol 2 writes as text."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise RefusedPickleError("bytes in another encoding than latin1")
    return text.encode("latin1")


def _bytearray(data: object = b"", *rest: object) -> bytes:
    """Return bytes; a number would ask for that much memory."""
    if not isinstance(data, bytes):
        raise RefusedPickleError("a bytearray of something else than bytes")
    return data


def _set(items: object = ()) -> list[object]:
    """Return a set's items."""
    if not isinstance(items, (list, tuple)):
        raise RefusedPickleError("a set of something else than a list")
    return list(items)


def _size(sizes: object = ()) -> tuple[object, ...]:
    """Return a torch.Size as a tuple."""
    if not isinstance(sizes, (list, tuple)):
        raise RefusedPickleError("a torch.Size of something else than a tuple")
    return tuple(sizes)


_MAKERS: dict[str, _Maker] = {
    "torch._utils._rebuild_tensor": _Maker(_tensor),
    "torch._utils._rebuild_tensor_v2": _Maker(_tensor),
    "torch._utils._rebuild_tensor_v3": _Maker(_tensor_v3),
    "torch._utils._rebuild_parameter": _Maker(_parameter),
    "torch._utils._rebuild_parameter_with_state": _Maker(_parameter),
    "torch._tensor._rebuild_from_type_v2": _Maker(_subclass),
    "torch.Size": _Maker(_size),
    "torch.device": _Maker(lambda *parts: ":".join(str(part) for part in parts)),
    "_codecs.encode": _Maker(_encode),
    "builtins.bytearray": _Maker(_bytearray),
    "__builtin__.bytearray": _Maker(_bytearray),
    "builtins.set": _Maker(_set),
    "__builtin__.set": _Maker(_set),
    "builtins.frozenset": _Maker(_set),
    "__builtin__.frozenset": _Maker(_set),
}
_PLAIN_CLASSES: dict[str, object] = {
    "collections.OrderedDict": OrderedDict,
    "torch.storage.UntypedStorage": _Bytes(),
}

_CODE_MODULES = frozenset(
    "os posix nt sys subprocess shutil socket ctypes importlib runpy pty commands webbrowser code "
    "codeop pdb timeit marshal".split()
)
_CODE_FUNCTIONS = frozenset(
    f"{module}.{name}"
    for module in ("builtins", "__builtin__")
    for name in ("eval", "exec", "execfile", "compile", "open", "__import__", "breakpoint", "input")
)
"""No checkpoint needs these. They would be inert like any other; who meets one should know what the
file was made for."""
