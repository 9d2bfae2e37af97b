"""Errors for files that should hold weights and can't be read."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

from oriel.errors import CheckpointError

_LFS_POINTER = b"version https://git-lfs"


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
