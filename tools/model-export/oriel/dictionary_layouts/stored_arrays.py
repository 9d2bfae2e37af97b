"""Arrays in the files of other libraries: their names and shapes, and their values in float32, read
one at a time. The files are untrusted, and nothing in them is unpickled."""

from __future__ import annotations

import io
import lzma
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO

import numpy as np

from oriel.arrays import Array
from oriel.errors import BundleError, first_few

_LONGEST_HEADER = 4096
_FLOATS = {"f2", "f4", "f8"}
_MOST_ARRAYS = 64
_ZIP_ERRORS = (
    OSError,
    ValueError,
    EOFError,
    RuntimeError,
    NotImplementedError,
    LookupError,
    TypeError,
    SyntaxError,
    MemoryError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    tokenize.TokenError,
)
"""Raised by zipfile and by NumPy's reader of headers for bytes of another form."""


@dataclass(frozen=True)
class StoredArrays:
    """The arrays of a file."""

    file: Path
    shapes: Mapping[str, tuple[int, ...]]
    _read: Callable[[str], Array]

    def check(self, wanted: Mapping[str, tuple[int, ...]]) -> None:
        """Raise BundleError where the file's arrays are others than {name: shape}, before any of
        their values is read."""
        missing = [name for name in wanted if name not in self.shapes]
        left = [name for name in sorted(self.shapes) if name not in wanted]
        if missing or left:
            raise self.unsound(
                f"{first_few(missing)} missing" if missing else f"{first_few(left)} besides",
                f"the arrays {', '.join(wanted)}",
            )
        for name, shape in wanted.items():
            if self.shapes[name] != shape:
                raise self.unsound(f"{name} of {_shown(self.shapes[name])}", _shown(shape))

    def width_of(self, name: str) -> tuple[int, int]:
        """Return the two sizes of a matrix. Raises BundleError where there is no such matrix."""
        shape = self.shapes.get(name)
        if shape is None or len(shape) != 2:
            got = f"no {name}" if shape is None else f"{name} of {_shown(shape)}"
            raise self.unsound(got, f"a matrix {name}")
        return shape[0], shape[1]

    def read(self, name: str) -> Array:
        """Return an array in float32; 16-bit numbers are exact in it. Raises BundleError where a
        number is not finite."""
        values = self._read(name)
        if not bool(np.isfinite(values).all()):
            raise self.unsound(f"{name} with numbers that aren't finite", "finite numbers")
        return values

    def unsound(self, got: str, expected: str) -> BundleError:
        """Return the error of a file whose arrays can't be used."""
        return BundleError(
            f"{self.file.name} is no dictionary that can be used",
            got=got,
            expected=expected,
            next_step="download it again.",
        )


def safetensors_arrays(file: Path) -> StoredArrays:
    """Return the arrays of a safetensors file. Raises CheckpointError for a damaged one and
    BundleError for one of other numbers than floats."""
    # Loads torch, which has the 16-bit formats that NumPy lacks.
    from oriel.checkpoints.tensors import FLOATS, StoredTensors, stored_tensors

    tensors = StoredTensors({each.key: each for each in stored_tensors([file])})
    shapes = {name: each.shape for name, each in tensors.tensors.items()}

    def read(name: str) -> Array:
        with np.errstate(over="ignore"):
            values: Array = tensors.read_float32(name).numpy()
        return values

    found = StoredArrays(file, shapes, read)
    for name, each in tensors.tensors.items():
        if each.dtype not in FLOATS:
            raise found.unsound(f"{name[:40]} of {each.dtype}", "floating-point numbers")
    return found


def npz_arrays(file: Path) -> StoredArrays:
    """Return the arrays of an .npz file of NumPy. Raises BundleError for another file, and for an
    array of Python objects, which would have to be unpickled."""
    headers: dict[str, _Header] = {}
    places: dict[str, zipfile.ZipInfo] = {}
    with _opened(file) as archive:
        if len(archive.infolist()) > _MOST_ARRAYS:
            raise ValueError(f"{len(archive.infolist())} files in it")
        for info in archive.infolist():
            name = info.filename.removesuffix(".npy")
            if name == info.filename or name in places:
                raise ValueError(f"{name[:40]}, which is no array or is there twice")
            with archive.open(info) as member:
                headers[name] = _read_header(member, name)
            places[name] = info
            size = prod(headers[name].shape) * headers[name].dtype.itemsize
            if info.file_size != headers[name].begin + size:
                raise ValueError(f"{name[:40]} of {info.file_size} bytes")

    def read(name: str) -> Array:
        with _opened(file) as archive, archive.open(places[name]) as member:
            header = headers[name]
            member.read(header.begin)
            data = member.read(prod(header.shape) * header.dtype.itemsize)
            flat = np.frombuffer(data, header.dtype)
            values: Array = flat.reshape(header.shape, order="F" if header.is_fortran else "C")
        with np.errstate(over="ignore"):
            return np.ascontiguousarray(values, dtype=np.float32)

    return StoredArrays(file, {name: each.shape for name, each in headers.items()}, read)


@dataclass(frozen=True)
class _Header:
    """The form of an array, by the first bytes of its .npy file."""

    shape: tuple[int, ...]
    is_fortran: bool
    dtype: np.dtype[np.generic]
    begin: int
    """Byte offset of the values."""


def _read_header(member: IO[bytes], name: str) -> _Header:
    version = np.lib.format.read_magic(member)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {version} of NumPy's format")
    said = member.read(2 if version == (1, 0) else 4)
    length = int.from_bytes(said, "little")
    # NumPy reads as many bytes as the file says before it compares them with a maximum.
    if length > _LONGEST_HEADER:
        raise ValueError(f"{name[:40]} with a header of {length} bytes")
    header = io.BytesIO(said + member.read(length))
    parse = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, is_fortran, dtype = parse(header, max_header_size=_LONGEST_HEADER)
    if dtype.hasobject or f"{dtype.kind}{dtype.itemsize}" not in _FLOATS:
        raise ValueError(f"{name[:40]} of {dtype.kind}{dtype.itemsize}, not floating-point numbers")
    # True is a whole number in Python.
    if any(isinstance(size, bool) or size < 0 for size in shape):
        raise ValueError(f"{name[:40]} of {shape}")
    return _Header(shape, is_fortran, dtype, np.lib.format.MAGIC_LEN + len(said) + length)


@contextmanager
def _opened(file: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(file) as archive:
            yield archive
    except _ZIP_ERRORS as error:
        raise BundleError(
            f"{file.name} is damaged, cut short or something else",
            got=" ".join(str(error).split())[:120] or type(error).__name__,
            expected="an .npz file of floating-point arrays",
            next_step="download it again.",
        ) from error


def _shown(shape: tuple[int, ...]) -> str:
    return " × ".join(map(str, shape)) or "a single number"
