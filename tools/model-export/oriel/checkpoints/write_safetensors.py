"""Writing of tensors to a safetensors file, each once: a tensor that is another one under a second
name is an alias, which the file's metadata names as safetensors' own save_model does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

Metadata = Mapping[str, str]


def aliases_of(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    """Return {name: earlier name} of tensors that are the same memory seen in the same way."""
    first: dict[tuple[object, ...], str] = {}
    found: dict[str, str] = {}
    for name, tensor in tensors.items():
        if tensor.numel() == 0:
            # All empty tensors have one address.
            continue
        key = (tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride())
        if first.setdefault(key, name) != name:
            found[name] = first[key]
    return found


def write_safetensors(
    tensors: Mapping[str, Tensor], file: Path, metadata: Metadata | None = None
) -> dict[str, str]:
    """Write tensors, and return the aliases: {name: name in the file}."""
    aliases = aliases_of(tensors)
    stored: dict[str, Tensor] = {}
    taken: set[int] = set()
    for name, tensor in tensors.items():
        if name in aliases:
            continue
        memory = tensor.untyped_storage().data_ptr()
        # Views into one memory, such as the parts of a fused matrix, become tensors of their own.
        own = not _is_part(tensor) and memory not in taken
        stored[name] = tensor.detach() if own else tensor.detach().contiguous().clone()
        taken.add(memory)
    save_file(stored, file, {**(metadata or {}), **aliases, "format": "pt"})
    return aliases


def read_with_aliases(file: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Return all tensors of a file by all their names, and the aliases among these."""
    with safe_open(file, framework="pt") as opened:
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
        said = dict(opened.metadata() or {})
    aliases = {n: kept for n, kept in said.items() if kept in tensors and n not in tensors}
    return tensors | {name: tensors[kept] for name, kept in aliases.items()}, aliases


def _is_part(tensor: Tensor) -> bool:
    return not tensor.is_contiguous() or tensor.untyped_storage().nbytes() != tensor.nbytes
