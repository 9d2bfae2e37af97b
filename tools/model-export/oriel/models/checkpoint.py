"""A checkpoint's tensors on disk: which there are, whether they fit the model, and their values,
one at a time. Which folder to read is found in find_checkpoint.py."""

from __future__ import annotations

import hashlib
import json
import pickle
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from oriel.errors import CheckpointError

SAFETENSORS = "model.safetensors"
PICKLE = "pytorch_model.bin"
_FLOATS = {"F64", "F32", "F16", "BF16"}
_HIDDEN_DTYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
}


@dataclass(frozen=True)
class StoredTensor:
    """Where a tensor stands in the checkpoint."""

    file: Path
    key: str
    dtype: str
    """As safetensors spells it: F32, F16, BF16, …"""
    shape: tuple[int, ...]


class Checkpoint:
    """Tensors by the names that the model's parameters have."""

    def __init__(self, folder: Path, tensors: Mapping[str, StoredTensor]) -> None:
        self.folder = folder
        self.tensors = dict(tensors)
        self._pickled: dict[Path, Mapping[str, Tensor]] = {}

    @property
    def parameters(self) -> int:
        """Number of weights, a tied one counted once."""
        total = 0
        for stored in self.tensors.values():
            size = 1
            for extent in stored.shape:
                size *= extent
            total += size
        return total

    def read(self, name: str) -> Tensor:
        """The tensor in the dtype and shape of the file."""
        stored = self.tensors[name]
        if stored.file.suffix == ".safetensors":
            # Opened anew for each tensor: closing lets go of the pages that were mapped.
            with safe_open(stored.file, framework="pt") as file:
                tensor: Tensor = file.get_tensor(stored.key)
                return tensor
        if stored.file not in self._pickled:
            self._pickled[stored.file] = load_pickle(stored.file)
        return self._pickled[stored.file][stored.key]


def tensor_digest(tensor: Tensor) -> str:
    """SHA-256 of a tensor's bytes, row-major, little-endian."""
    flat = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
    return hashlib.sha256(flat.numpy().data).hexdigest()


def weights_digest(rows: Mapping[str, tuple[str, tuple[int, ...], str]]) -> str:
    """Digest over {name: (dtype, shape, tensor_digest)}: independent of files and their order."""
    lines = [
        f"{name} {dtype} {','.join(map(str, shape))} {digest}\n"
        for name, (dtype, shape, digest) in sorted(rows.items())
    ]
    return "sha256:" + hashlib.sha256("".join(lines).encode()).hexdigest()


def open_checkpoint(
    folder: Path,
    expected: Mapping[str, tuple[int, ...]],
    base_prefix: str,
    ignored: tuple[str, ...],
) -> Checkpoint:
    """Match the folder's tensors to the model's parameters.

    expected: {parameter: shape}, a tied weight once. base_prefix: 'transformer.' for checkpoints
    saved without the language model head. Raises CheckpointError for a missing, leftover, or
    misshapen tensor, and for one that isn't floating point.
    """
    found = {s.key: s for s in _stored_tensors(folder)}
    matched: dict[str, StoredTensor] = {}
    for name in expected:
        for key in (name, name.removeprefix(base_prefix)):
            if key in found:
                matched[name] = found.pop(key)
                break
    missing = sorted(set(expected) - set(matched))
    if missing:
        raise CheckpointError(
            f"the checkpoint {folder.name} lacks weights",
            got=f"no {_some(missing)}",
            expected=f"{len(expected)} tensors",
            next_step="download it again, or check that config.json belongs to it.",
        )
    leftover = sorted(key for key in found if not _is_known_extra(key, matched, found, ignored))
    if leftover:
        raise CheckpointError(
            f"the checkpoint {folder.name} has weights that the model doesn't read",
            got=_some(leftover),
            expected="none left over",
            next_step="check that config.json belongs to it: layers, tied embeddings.",
        )
    for name, stored in matched.items():
        if stored.shape != tuple(expected[name]):
            raise CheckpointError(
                f"{name} in {folder.name} has the wrong shape",
                got=str(list(stored.shape)),
                expected=str(list(expected[name])),
                next_step="check that config.json belongs to the checkpoint.",
            )
        if stored.dtype not in _FLOATS:
            raise CheckpointError(
                f"{name} in {folder.name} is quantized or not floating point",
                got=stored.dtype,
                expected=", ".join(sorted(_FLOATS)),
                next_step="export from the original checkpoint.",
            )
    return Checkpoint(folder, matched)


def _is_known_extra(
    key: str,
    matched: Mapping[str, StoredTensor],
    found: Mapping[str, StoredTensor],
    ignored: tuple[str, ...],
) -> bool:
    if any(re.fullmatch(pattern, key) for pattern in ignored):
        return True
    # A tied unembedding is often saved a second time; it may be passed over only if it is the same.
    if key == "lm_head.weight":
        twins = [s for s in matched.values() if s.shape == found[key].shape]
        return any(_same_values(found[key], twin) for twin in twins)
    return False


def _same_values(one: StoredTensor, other: StoredTensor) -> bool:
    pair = Checkpoint(one.file.parent, {"one": one, "other": other})
    return torch.equal(pair.read("one"), pair.read("other"))


def _some(names: list[str], most: int = 3) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def _stored_tensors(folder: Path) -> Iterator[StoredTensor]:
    for file in weight_files(folder):
        reader: Callable[[Path], Iterator[StoredTensor]]
        reader = _read_safetensors if file.suffix == ".safetensors" else _read_pickle
        yield from reader(file)


def weight_files(folder: Path) -> list[Path]:
    """The checkpoint's weight files, safetensors before pickles; CheckpointError without any."""
    for name in (SAFETENSORS, PICKLE):
        if (folder / name).is_file():
            return [folder / name]
        index = folder / f"{name}.index.json"
        if index.is_file():
            return _sharded(folder, index)
    raise CheckpointError(
        f"no weights in {folder}",
        expected=f"{SAFETENSORS} or {PICKLE}, or their .index.json with shards",
        next_step="put the checkpoint there, or name another with --model.",
    )


def _sharded(folder: Path, index: Path) -> list[Path]:
    shards = sorted(set(read_json(index).get("weight_map", {}).values()))
    for shard in shards:
        if not isinstance(shard, str) or Path(shard).name != shard:
            raise CheckpointError(
                f"{index.name} names a file outside the checkpoint", got=repr(shard)
            )
        if not (folder / shard).is_file():
            raise CheckpointError(
                f"the checkpoint {folder.name} is partial",
                got=f"no {shard}",
                expected=f"the {len(shards)} files that {index.name} lists",
                next_step="download the missing ones.",
            )
    return [folder / shard for shard in shards]


def _read_safetensors(file: Path) -> Iterator[StoredTensor]:
    try:
        with safe_open(file, framework="pt") as tensors:
            for key in tensors.keys():  # noqa: SIM118 - safe_open is no mapping
                part = tensors.get_slice(key)
                yield StoredTensor(file, key, part.get_dtype(), tuple(part.get_shape()))
    except SafetensorError as error:
        raise CheckpointError(
            f"{file.name} is damaged or cut short",
            got=str(error),
            expected="a whole safetensors file",
            next_step="download it again.",
        ) from error


def _read_pickle(file: Path) -> Iterator[StoredTensor]:
    for key, tensor in load_pickle(file).items():
        dtype = _HIDDEN_DTYPES.get(tensor.dtype, str(tensor.dtype).removeprefix("torch."))
        yield StoredTensor(file, key, dtype, tuple(tensor.shape))


def load_pickle(file: Path) -> Mapping[str, Tensor]:
    """A state dict from torch's pickle format; code in it is never run."""
    loaded: Any = None
    try:
        try:
            loaded = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
        except (RuntimeError, ValueError):
            # Files from before torch 1.6 can't be mapped.
            loaded = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{file.name} holds more than tensors and was not loaded",
            got=_first_sentence(error),
            expected="plain tensors, which run no code",
            next_step="convert the checkpoint to safetensors where you trust it.",
        ) from error
    except (RuntimeError, EOFError, ValueError, OSError) as error:
        raise CheckpointError(
            f"{file.name} is damaged or cut short",
            got=_first_sentence(error),
            expected="a torch state dict",
            next_step="download it again.",
        ) from error
    if not isinstance(loaded, Mapping) or not all(isinstance(t, Tensor) for t in loaded.values()):
        raise CheckpointError(
            f"{file.name} isn't a state dict",
            got=type(loaded).__name__,
            expected="tensors by name",
            next_step="save model.state_dict() instead.",
        )
    return loaded


def _first_sentence(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    match = re.search(r"Unsupported (?:global|operand|class)[^.]*\.?[^.]*", text)
    return (match.group(0) if match else text)[:160].rstrip(". ")


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object from a checkpoint; CheckpointError where it isn't one."""
    problem = "a JSON object"
    with suppress(OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        loaded = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(loaded, dict):
            return loaded
    raise CheckpointError(
        f"{file.name} in {file.parent.name} can't be read",
        expected=problem,
        next_step="download the checkpoint again.",
    )
