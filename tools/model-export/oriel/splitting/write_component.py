"""Writing one network's tensors, as safetensors and as a .pth, both read back and compared."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from oriel.errors import BundleError
from oriel.splitting.components import Component
from oriel.splitting.split_report import WrittenComponent, WrittenFile


def write_component(component: Component, folder: Path) -> WrittenComponent:
    """Write a network's tensors twice and return the files. Raises BundleError if what is on disk
    isn't what was read from the checkpoint, bit for bit."""
    # Copies: tensors that share memory are refused by safetensors, and would bring all of it along
    # into a .pth.
    tensors = {name: t.detach().clone().contiguous() for name, t in component.tensors.items()}
    safe, plain = (folder / f"{component.name}{end}" for end in (".safetensors", ".pth"))
    save_file(tensors, safe, {"format": "pt", "prefix": component.prefix})
    torch.save(tensors, plain)
    # safetensors makes its files for their owner alone, whatever the umask says.
    safe.chmod(plain.stat().st_mode)
    _compare(safe, load_file(safe), component.tensors)
    _compare(plain, torch.load(plain, weights_only=True), component.tensors)
    files = tuple(WrittenFile(f.name, f.stat().st_size, sha256_of(f)) for f in (safe, plain))
    return WrittenComponent(component, files)


def sha256_of(file: Path) -> str:
    """Return a file's SHA-256 in hexadecimal."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _compare(file: Path, read: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    different = read.keys() ^ expected.keys()
    for name in read.keys() & expected.keys():
        one, other = read[name].contiguous(), expected[name].contiguous()
        same_kind = one.dtype == other.dtype and one.shape == other.shape
        # Bytes: a NaN equals none, and a negative zero is one of its own.
        as_bytes = (t.reshape(-1).view(torch.uint8) for t in (one, other))
        if not same_kind or not torch.equal(*as_bytes):
            different.add(name)
    if different:
        raise BundleError(
            f"{file.name} doesn't hold what was written",
            got=", ".join(sorted(different)[:3]),
            next_step="check the disk; nothing was changed.",
        )
