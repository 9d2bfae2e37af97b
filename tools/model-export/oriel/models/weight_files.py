"""Search for the files of a folder that hold a checkpoint's weights, and checks for what may be
there in their place. checkpoint.py reads their tensors; what_is_there.py describes a folder without
any."""

from __future__ import annotations

import codecs
import pickle
import re
from pathlib import Path

from oriel.errors import CheckpointError, some
from oriel.models.model_names import shown_name
from oriel.models.what_is_there import no_weights
from oriel.tokenizers.checkpoint_json import read_object

SAFETENSORS = "model.safetensors"
PICKLE = "pytorch_model.bin"
_LFS_POINTER = b"version https://git-lfs"


def weight_files(folder: Path) -> list[Path]:
    """Return the checkpoint's weight files, safetensors before pickles; CheckpointError without
    any."""
    for name in (SAFETENSORS, PICKLE):
        if (folder / name).is_file():
            return [folder / name]
        index = folder / f"{name}.index.json"
        if index.is_file():
            return _sharded(folder, index)
    raise no_weights(folder)


def _sharded(folder: Path, index: Path) -> list[Path]:
    places = read_object(index, shown_name(folder)).get("weight_map")
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
        suffix = Path(lacking[0]).suffix
        there = {file.name for file in folder.glob(f"*-of-*{suffix}")}
        other = sorted(there - set(shards))
        raise CheckpointError(
            f"the checkpoint {shown_name(folder)} is partial",
            got=f"no {some(lacking)}" + (f", but {some(other)}" if other else ""),
            expected=f"the {len(shards)} files that {index.name} lists",
            next_step=f"get the {index.name} that belongs to these files: this one is of another "
            "save."
            if other
            else "download the missing ones.",
        )
    return [folder / shard for shard in shards]


def check_holds_weights(file: Path) -> None:
    """Raise CheckpointError for a file that can't be read, is a Git LFS pointer, or is empty."""
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


def damaged(file: Path, error: BaseException, expected: str) -> CheckpointError:
    """Return the error for a file of weights that a library can't read."""
    return CheckpointError(
        f"{file.name} is damaged, cut short or something else",
        got=_reason(error),
        expected=expected,
        next_step="download it again.",
    )


def _reason(error: BaseException) -> str:
    """Return the part of a library's message that says what was wrong, on one line."""
    text = " ".join(str(error).split())
    text = re.sub(r"^(Error while|PytorchStreamReader failed) [\w ]+: ", "", text)
    if not text or isinstance(error, (KeyError, pickle.UnpicklingError)):
        return "bytes that can't be read"
    return text.partition(". ")[0][:120].rstrip(".")


def has_mark(file: Path) -> bool:
    """Return whether the file begins with a byte order mark, which some editors add and JSON
    doesn't have."""
    try:
        with file.open("rb") as opened:
            return opened.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8
    except OSError:
        return False
