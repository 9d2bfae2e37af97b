"""A folder that is replaced whole: written beside its place, then exchanged in one step."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from oriel.errors import BundleError

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


@contextmanager
def replaced_folder(folder: Path) -> Iterator[Path]:
    """Yield an empty folder to fill. It takes the place of `folder` if the block ends well, and is
    removed if it doesn't: a full disk, an error or Ctrl-C leave what was there, or nothing."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        staged = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    except OSError as error:
        raise unwritable(folder, error) from error
    try:
        # mkdtemp makes it for its owner alone; a web server must read it too.
        staged.chmod(0o755)
        yield staged
        _take_place(staged, folder)
    except OSError as error:
        raise unwritable(folder, error) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _take_place(staged: Path, folder: Path) -> None:
    for file in staged.iterdir():
        with file.open("rb") as handle:
            os.fsync(handle.fileno())
    if not folder.exists():
        staged.rename(folder)
        return
    if _exchange(staged, folder):
        return
    # Without an atomic exchange: the old folder steps aside, and comes back if the new one can't.
    aside = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(aside, ignore_errors=True)
    folder.rename(aside)
    try:
        staged.rename(folder)
    except BaseException:
        aside.rename(folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    return bool(
        rename(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0
    )


def unwritable(folder: Path, error: OSError) -> BundleError:
    """One line for what the system says when a folder can't be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return BundleError(
            f"no space left for {folder}",
            got=error.strerror,
            next_step="free some, or choose another disk with --output; nothing was changed.",
        )
    return BundleError(
        f"can't write {folder}",
        got=error.strerror or str(error),
        next_step="choose another place with --output; nothing was changed.",
    )
