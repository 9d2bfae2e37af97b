"""Tensors on disk: their names, dtypes and shapes, and their values, read one at a time. Which
files belong to a model, and which tensor is which parameter, is up to oriel/models."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from oriel.checkpoints.safe_pickle import load_pickle
from oriel.checkpoints.unreadable_files import check_holds_weights, damaged

_VALUES_AT_ONCE = 1 << 24
"""Values converted to float32 at a time: 64 MiB of them."""
FLOATS = {"F64", "F32", "F16", "BF16"}
_DTYPE_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int32: "I32",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
}


@dataclass(frozen=True)
class StoredTensor:
    """A tensor's file and its name there, its dtype and its shape."""

    file: Path
    key: str
    dtype: str
    """As safetensors spells it: F32, F16, BF16, …"""
    shape: tuple[int, ...]
    part: tuple[int, slice] | None = None
    """(index, rows) of the file's tensor (n, rows, columns) that this is; None where it is all."""


@dataclass(frozen=True, kw_only=True)
class DecodedTensor(StoredTensor):
    """A tensor that is computed from others of the files each time that it is read; `file` and
    `key` are those of the first."""

    parts: tuple[StoredTensor, ...]
    decode: Callable[[Sequence[Tensor]], Tensor] = field(compare=False)
    """Returns the tensor, of this dtype and shape, for the parts' values."""
    of_linear: bool = False
    """True if the values are the (out, in) of a Linear, and no other module's."""


class StoredTensors:
    """Tensors by name, which stay on disk until they are read."""

    def __init__(self, tensors: Mapping[str, StoredTensor]) -> None:
        self.tensors = dict(tensors)
        self._pickled: dict[Path, Mapping[str, Tensor]] = {}

    @property
    def parameters(self) -> int:
        """Number of values in all tensors, those of a tied weight counted once."""
        total = 0
        for stored in self.tensors.values():
            size = 1
            for extent in stored.shape:
                size *= extent
            total += size
        return total

    def read(self, name: str) -> Tensor:
        """Return the tensor in the dtype and shape of the file."""
        return self._read(self.tensors[name])

    def read_float32(self, name: str) -> Tensor:
        """Return the tensor in float32. A large one is converted some rows at a time: the file's
        pages, which count as memory while they are mapped, never stand beside all of it."""
        stored = self.tensors[name]
        kept = stored.file.suffix == ".safetensors" and not isinstance(stored, DecodedTensor)
        if not kept or stored.part is not None or prod(stored.shape) <= _VALUES_AT_ONCE:
            return self._read(stored).to(torch.float32)
        whole = torch.empty(stored.shape, dtype=torch.float32)
        rows = max(1, _VALUES_AT_ONCE // prod(stored.shape[1:]))
        for start in range(0, stored.shape[0], rows):
            part = slice(start, start + rows)
            whole[part] = _slice_of(stored, part)
        return whole

    def _read(self, stored: StoredTensor) -> Tensor:
        if isinstance(stored, DecodedTensor):
            decoded = stored.decode([self._read(part) for part in stored.parts])
            return decoded if stored.part is None else decoded[stored.part]
        if stored.file.suffix == ".safetensors":
            return _slice_of(stored, stored.part)
        if stored.file not in self._pickled:
            self._pickled[stored.file] = load_pickle(stored.file)
        whole = self._pickled[stored.file][stored.key]
        return whole if stored.part is None else whole[stored.part]


def _slice_of(stored: StoredTensor, part: tuple[int, slice] | slice | None) -> Tensor:
    """Return a part of a tensor of a safetensors file; None for all of it."""
    try:
        # Opened anew for each tensor: closing the file releases the pages that were mapped.
        with safe_open(stored.file, framework="pt") as file:
            if part is not None:
                values: Tensor = file.get_slice(stored.key)[part]
                return values
            tensor: Tensor = file.get_tensor(stored.key)
            return tensor
    except (SafetensorError, OSError) as error:
        raise damaged(stored.file, error, "a whole safetensors file") from error


def tensor_digest(tensor: Tensor) -> str:
    """Return the SHA-256 of a tensor's bytes, row-major, little-endian."""
    flat = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
    return hashlib.sha256(flat.numpy().data).hexdigest()


def weights_digest(rows: Mapping[str, tuple[str, tuple[int, ...], str]]) -> str:
    """Return the digest over {name: (dtype, shape, tensor_digest)}: independent of files and their
    order."""
    lines = [
        f"{name} {dtype} {','.join(map(str, shape))} {digest}\n"
        for name, (dtype, shape, digest) in sorted(rows.items())
    ]
    return "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()


def stored_tensors(files: Iterable[Path]) -> Iterator[StoredTensor]:
    """Yield every tensor of the files, safetensors or pickles, file after file."""
    for file in files:
        check_holds_weights(file)
        reader: Callable[[Path], Iterator[StoredTensor]]
        reader = _read_safetensors if file.suffix == ".safetensors" else _read_pickle
        yield from reader(file)


def _read_safetensors(file: Path) -> Iterator[StoredTensor]:
    try:
        with safe_open(file, framework="pt") as tensors:
            for key in tensors.keys():  # noqa: SIM118 - safe_open is no mapping
                part = tensors.get_slice(key)
                yield StoredTensor(file, key, part.get_dtype(), tuple(part.get_shape()))
    except (SafetensorError, OSError) as error:
        raise damaged(file, error, "a whole safetensors file") from error


def _read_pickle(file: Path) -> Iterator[StoredTensor]:
    for key, tensor in load_pickle(file).items():
        dtype = _DTYPE_NAMES.get(tensor.dtype, str(tensor.dtype).removeprefix("torch."))
        yield StoredTensor(file, key, dtype, tuple(tensor.shape))
