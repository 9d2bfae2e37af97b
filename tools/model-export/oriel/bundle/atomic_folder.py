"""A folder or a file that is replaced whole: written beside its place, then exchanged in one
step."""

from __future__ import annotations

import ctypes
import errno
import os
import re
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from oriel.errors import BundleError, first_few

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_STALE_S = 3600
_STAGED = re.compile(r"\..+\.oriel-[0-9a-f]{12}")


def staged_name(name: str) -> str:
    """Return a hidden name, recognizable as ours, for what is written beside its place."""
    return f".{name}.oriel-{secrets.token_hex(6)}"


def is_staged_name(name: str) -> bool:
    """Return whether a killed run may have left this behind."""
    return _STAGED.fullmatch(name) is not None


@contextmanager
def replaced_folder(
    folder: Path, check: Callable[[], object] = lambda: None, movable: bool = True
) -> Iterator[Path]:
    """Yield an empty folder to fill. It takes the place of `folder` if the block ends well, and is
    removed if it doesn't: a full disk, an error or Ctrl-C leave what was there, or nothing.

    check: called right before the exchange; what it raises keeps the old folder in place.
    movable: True if --output could name another place, which errors then advise.
    """
    try:
        # A link stays a link: what it points to is replaced.
        target = folder.resolve()
        _refuse_irreplaceable(target, movable)
    except RuntimeError as error:
        loop = OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        raise unwritable(folder, loop, movable) from error
    except OSError as error:
        raise unwritable(folder, error, movable) from error
    made: list[Path] = []
    staged = target.with_name(staged_name(target.name))
    try:
        made = _make_parents(target.parent)
        _remove_leftovers(target.parent)
        # Not mkdtemp, which makes it for its owner alone: a web server must read it too.
        staged.mkdir()
        with _locked(staged):
            yield staged
            check()
            _take_place(staged, target)
        made = []
    except OSError as error:
        raise unwritable(folder, error, movable) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
        for parent in reversed(made):
            with suppress(OSError):
                parent.rmdir()


def _refuse_irreplaceable(target: Path, movable: bool) -> None:
    is_mount = False
    # Another exporter may be just replacing it, with a moment in which it isn't there.
    with suppress(FileNotFoundError):
        is_mount = target.is_mount()
    if target == target.parent or is_mount:
        raise BundleError(
            f"{target} can't be replaced whole",
            got="the root of a file system",
            expected="a folder of the bundle's own",
            next_step=f"choose a folder in it, such as --output {target / 'model' / 'model.onnx'}"
            if movable
            else "copy the bundle into a folder in it.",
        )
    with suppress(FileNotFoundError):
        if not Path.cwd().is_relative_to(target):
            return
        raise BundleError(
            f"{target} would be replaced while this command runs in it",
            expected="a folder below the current one, or elsewhere",
            next_step="run the command from another folder"
            + (", or choose --output NAME/model.onnx." if movable else "."),
        )


def _make_parents(folder: Path) -> list[Path]:
    """Make a folder with its parents. Return those that weren't there, outermost first."""
    absent = [parent for parent in (folder, *folder.parents) if not parent.exists()][::-1]
    folder.mkdir(parents=True, exist_ok=True)
    return absent


def refuse_foreign_folder(folder: Path, is_own: Callable[[str], bool], flag: str) -> None:
    """Raise BundleError for a folder that is about to be replaced whole and holds anything else
    than what this program wrote there, or for a file in its place.

    is_own: True for the name of an entry that it wrote. flag: the option that names the folder.
    """
    if not folder.exists():
        return
    if not folder.is_dir():
        raise BundleError(
            f"{folder} is a file", expected="a folder", next_step=f"name another with {flag}."
        )
    others = sorted(entry.name for entry in folder.iterdir() if not is_own(entry.name))
    if others:
        raise BundleError(
            f"{folder} holds something else",
            got=first_few(others),
            expected="a new folder, an empty one, or one that this command wrote",
            next_step=f"name another with {flag}, or remove them; nothing was changed.",
        )


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a lock on a folder. The system releases it even if the program is killed."""
    try:
        import fcntl

        handle = os.open(folder, os.O_RDONLY)
    except (ImportError, OSError):
        yield
        return
    try:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)


def _remove_leftovers(parent: Path) -> None:
    """Remove what killed runs left beside this folder, of whatever name: nobody holds its lock any
    more."""
    try:
        import fcntl
    except ImportError:
        return
    for left in parent.glob(".*.oriel-*"):
        if not is_staged_name(left.name) or left.is_symlink() or not left.is_dir():
            continue
        with suppress(OSError):
            handle = os.open(left, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # One that was made this moment isn't locked yet, and is empty.
                if any(left.iterdir()) or time.time() - left.stat().st_mtime > 60:
                    shutil.rmtree(left, ignore_errors=True)
            finally:
                os.close(handle)


def _remove_stale_files(folder: Path) -> None:
    """Remove single files that killed runs left. They have no lock, so the time since their names
    were made decides; writing takes seconds."""
    for left in folder.glob(".*.oriel-*"):
        with suppress(OSError):
            if not is_staged_name(left.name) or left.is_symlink() or not left.is_file():
                continue
            # Making a link sets the time of change, which is thus the link's, not the file's own.
            if time.time() - left.stat().st_ctime > _STALE_S:
                left.unlink()


def _take_place(staged: Path, target: Path) -> None:
    for file in filter(Path.is_file, staged.rglob("*")):
        with file.open("rb") as handle:
            os.fsync(handle.fileno())
    # Another exporter may put its bundle there, or take it away, between a look and a step.
    for _ in range(100):
        if target.exists():
            with suppress(FileNotFoundError):
                shutil.copymode(target, staged)
            if _exchange(staged, target) or _step_aside(staged, target):
                return
        else:
            try:
                staged.rename(target)
                return
            except OSError as error:
                if not _is_taken(error):
                    raise
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))


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


def _step_aside(staged: Path, target: Path) -> bool:
    """Replace the folder without an atomic exchange: rename the old one, and rename it back if the
    new one can't take its place. Return False where another exporter was quicker."""
    aside = target.with_name(staged_name(target.name))
    with _locked(target):
        try:
            target.rename(aside)
        except FileNotFoundError:
            return False
        try:
            staged.rename(target)
            came_in = True
        except BaseException as error:
            came_in = False
            if not _is_taken(error):
                aside.rename(target)
                raise
    shutil.rmtree(aside, ignore_errors=True)
    return came_in


def _is_taken(error: BaseException) -> bool:
    """Return whether a folder couldn't be renamed because another one is in its place by now."""
    return isinstance(error, OSError) and error.errno in (errno.ENOTEMPTY, errno.EEXIST)


def write_files_whole(files: dict[Path, bytes], flag: str = "--output") -> None:
    """Replace files: all are written beside their places first, then take them one after another.
    What fails before leaves every old file; what fails in between puts the old ones back. flag: the
    one that errors name for another place."""
    for folder in {file.parent for file in files}:
        _remove_stale_files(folder)
    staged: dict[Path, Path] = {}
    old: dict[Path, Path] = {}
    try:
        for file, data in files.items():
            staged[file] = file.with_name(staged_name(file.name))
            with staged[file].open("xb") as out:
                out.write(data)
                out.flush()
                os.fsync(out.fileno())
            if file.exists():
                shutil.copymode(file, staged[file])
                old[file] = file.with_name(staged_name(file.name))
                _keep(file, old[file])
        try:
            for file, new in staged.items():
                new.replace(file)
        except BaseException:
            for file, kept in old.items():
                kept.replace(file)
            raise
    except OSError as error:
        raise unwritable(next(iter(files)).parent, error, flag=flag) from error
    finally:
        for left in (*staged.values(), *old.values()):
            left.unlink(missing_ok=True)


def _keep(file: Path, beside: Path) -> None:
    try:
        os.link(file, beside)
    except OSError:
        # Not every file system has hard links.
        shutil.copy2(file, beside)


def unwritable(
    folder: Path, error: OSError, movable: bool = True, flag: str = "--output"
) -> BundleError:
    """Return an error of one line for what the system says when a folder can't be written.
    movable: True if the flag could name another place."""

    def step(here: str, elsewhere: str) -> str:
        steps = [*([here] if here else []), *([elsewhere] if movable else [])]
        return "; ".join([", or ".join(steps) or "check its permissions", "nothing was changed."])

    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return BundleError(
            f"no space left for {folder}",
            got=error.strerror,
            next_step=step("free some", f"choose another disk with {flag}"),
        )
    if error.errno == errno.EFBIG:
        return BundleError(
            f"a file is too large for {folder}",
            got=error.strerror,
            next_step=step("raise the limit (ulimit -f)", f"choose another disk with {flag}"),
        )
    in_the_way = error.errno in (errno.ENOTDIR, errno.EEXIST)
    return BundleError(
        f"can't write {folder}",
        got="a file where a folder is needed" if in_the_way else error.strerror or str(error),
        next_step=step("", f"choose another place with {flag}"),
    )
