"""A checkpoint's tensors on disk: which there are, whether they fit the model, and their values,
one at a time. Which folder to read is found in find_checkpoint.py."""

from __future__ import annotations

import hashlib
import json
import pickle
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from oriel.errors import CheckpointError
from oriel.models.model_names import shown_name

SAFETENSORS = "model.safetensors"
PICKLE = "pytorch_model.bin"
_LFS_POINTER = b"version https://git-lfs"
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
            try:
                # Opened anew for each tensor: closing lets go of the pages that were mapped.
                with safe_open(stored.file, framework="pt") as file:
                    tensor: Tensor = file.get_tensor(stored.key)
                    return tensor
            except (SafetensorError, OSError) as error:
                raise _damaged(stored.file, error, "a whole safetensors file") from error
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
    found: dict[str, StoredTensor] = {}
    for stored in _stored_tensors(folder):
        if stored.key in found:
            raise CheckpointError(
                f"the checkpoint {shown_name(folder)} holds {stored.key} twice",
                got=f"{found[stored.key].file.name} and {stored.file.name}",
                next_step="remove the shards that its index doesn't list.",
            )
        found[stored.key] = stored
    matched: dict[str, StoredTensor] = {}
    for name in expected:
        for key in (name, name.removeprefix(base_prefix)):
            if key in found:
                matched[name] = found.pop(key)
                break
    missing = sorted(set(expected) - set(matched))
    if missing:
        raise CheckpointError(
            f"the checkpoint {shown_name(folder)} lacks weights",
            got=f"no {_some(missing)}",
            expected=f"the {len(expected)} tensors of its config",
            next_step="download it again, or check that config.json belongs to it.",
        )
    leftover = sorted(key for key in found if not _is_known_extra(key, matched, found, ignored))
    if leftover:
        raise CheckpointError(
            f"the checkpoint {shown_name(folder)} has weights that the model doesn't read",
            got=_some(leftover),
            expected="none left over",
            next_step="check that config.json belongs to it: its layers, tied embeddings.",
        )
    for name, stored in matched.items():
        if stored.shape != tuple(expected[name]):
            raise CheckpointError(
                f"{name} in {shown_name(folder)} has the wrong shape",
                got=str(list(stored.shape)),
                expected=str(list(expected[name])),
                next_step="check that config.json belongs to the checkpoint.",
            )
        if stored.dtype not in _FLOATS:
            raise CheckpointError(
                f"{name} in {shown_name(folder)} is quantized or not floating point",
                got=stored.dtype,
                expected="F64, F32, F16 or BF16",
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
    if one.dtype != other.dtype:
        return False
    pair = Checkpoint(one.file.parent, {"one": one, "other": other})
    return torch.equal(pair.read("one"), pair.read("other"))


def _some(names: list[str], most: int = 3) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def _stored_tensors(folder: Path) -> Iterator[StoredTensor]:
    for file in weight_files(folder):
        _check_holds_weights(file)
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
        next_step="put the checkpoint's weights there, or name another one with --model.",
    )


def _sharded(folder: Path, index: Path) -> list[Path]:
    places = read_json(index).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise CheckpointError(
            f"{index.name} in {shown_name(folder)} lists no shards",
            expected="a weight_map from tensors to files",
            next_step="download the checkpoint again.",
        )
    for shard in places.values():
        # An absolute path or one with '..' would read what was never downloaded.
        if not isinstance(shard, str) or not re.fullmatch(r"[^/\\:.][^/\\:]*", shard):
            raise CheckpointError(
                f"{index.name} in {shown_name(folder)} names a file outside the checkpoint",
                got=repr(shard),
                expected="names of files beside it",
                next_step="don't use this checkpoint unless you know why.",
            )
    shards = sorted(set(places.values()))
    lacking = [shard for shard in shards if not (folder / shard).is_file()]
    if lacking:
        raise CheckpointError(
            f"the checkpoint {shown_name(folder)} is partial",
            got=f"no {_some(lacking)}",
            expected=f"the {len(shards)} files that {index.name} lists",
            next_step="download the missing ones.",
        )
    return [folder / shard for shard in shards]


def _check_holds_weights(file: Path) -> None:
    """Catch what stands in a file's place when a download went wrong."""
    try:
        with file.open("rb") as opened:
            start = opened.read(len(_LFS_POINTER))
    except OSError as error:
        raise CheckpointError(
            f"{file.name} can't be read",
            got=error.strerror or str(error),
            next_step="check its permissions, or download it again.",
        ) from error
    if start == _LFS_POINTER:
        raise CheckpointError(
            f"{file.name} isn't the weights yet",
            got="a Git LFS pointer to them",
            next_step="run `git lfs pull` in the checkpoint's folder.",
        )
    if not start:
        raise CheckpointError(
            f"{file.name} is empty", expected="weights", next_step="download it again."
        )


def _damaged(file: Path, error: BaseException, expected: str) -> CheckpointError:
    return CheckpointError(
        f"{file.name} is damaged, cut short or something else",
        got=_reason(error),
        expected=expected,
        next_step="download it again.",
    )


def _read_safetensors(file: Path) -> Iterator[StoredTensor]:
    try:
        with safe_open(file, framework="pt") as tensors:
            for key in tensors.keys():  # noqa: SIM118 - safe_open is no mapping
                part = tensors.get_slice(key)
                yield StoredTensor(file, key, part.get_dtype(), tuple(part.get_shape()))
    except (SafetensorError, OSError) as error:
        raise _damaged(file, error, "a whole safetensors file") from error


def _read_pickle(file: Path) -> Iterator[StoredTensor]:
    for key, tensor in load_pickle(file).items():
        dtype = _HIDDEN_DTYPES.get(tensor.dtype, str(tensor.dtype).removeprefix("torch."))
        yield StoredTensor(file, key, dtype, tuple(tensor.shape))


def load_pickle(file: Path) -> Mapping[str, Tensor]:
    """A state dict from torch's pickle format; code in it is never run."""
    loaded: Any = None
    try:
        with warnings.catch_warnings():
            # Old files make torch warn of its own storage classes.
            warnings.simplefilter("ignore")
            try:
                loaded = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
            except (RuntimeError, ValueError):
                # Files from before torch 1.6 can't be mapped.
                loaded = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        # The unpickler meets arbitrary bytes; what it trips over has no common class.
        refused = isinstance(error, pickle.UnpicklingError) and _refused_object(str(error))
        if not refused:
            raise _damaged(file, error, "tensors saved by torch") from error
        raise CheckpointError(
            f"{file.name} holds more than tensors and was not loaded",
            got=f"the Python object {refused}, which may run code",
            expected="tensors alone",
            next_step="get the checkpoint as safetensors, or convert it where you trust it.",
        ) from error
    if not isinstance(loaded, Mapping):
        raise _no_state_dict(file, type(loaded).__name__)
    for key, value in loaded.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise _no_state_dict(file, f"{type(value).__name__} under {key!r}")
        if value.layout != torch.strided or value.device.type != "cpu":
            raise CheckpointError(
                f"{key} in {file.name} is no plain tensor",
                got=f"{value.layout} on {value.device.type}".removeprefix("torch."),
                expected="dense values",
                next_step="save model.state_dict() from a model on the CPU.",
            )
    return {key: value.detach() for key, value in loaded.items()}


def _no_state_dict(file: Path, got: str) -> CheckpointError:
    return CheckpointError(
        f"{file.name} isn't a state dict",
        got=got,
        expected="tensors by name",
        next_step="save model.state_dict() instead.",
    )


def _refused_object(message: str) -> str | None:
    """What torch's unpickler would have had to import or to make."""
    match = re.search(r"GLOBAL ([\w.]+)|but got <class '([\w.]+)'>", message)
    return match and (match.group(1) or match.group(2))


def _reason(error: BaseException) -> str:
    """The part of a library's message that says what was wrong, on one line."""
    text = " ".join(str(error).split())
    text = re.sub(r"^(Error while|PytorchStreamReader failed) [\w ]+: ", "", text)
    if not text or isinstance(error, (KeyError, pickle.UnpicklingError)):
        return "bytes that can't be read"
    return text.partition(". ")[0][:120].rstrip(".")


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object from a checkpoint; CheckpointError where it isn't one."""
    # ValueError is also what bytes that aren't UTF-8 and endless digits give.
    with suppress(OSError, ValueError, RecursionError):
        loaded = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(loaded, dict):
            return loaded
    raise CheckpointError(
        f"{file.name} in {shown_name(file.parent)} can't be read",
        got="an empty file" if file.is_file() and not file.stat().st_size else None,
        expected="a JSON object",
        next_step="download the checkpoint again.",
    )
