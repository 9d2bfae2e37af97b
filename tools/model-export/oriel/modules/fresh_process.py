"""Fresh processes for verification. Each is forked from one that has imported torch and nothing of
the caller's: the seconds of that import are paid once for all files of an export, and beside the
work on the first. Where a process can't be forked safely, each starts from nothing.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector

from oriel.errors import ModuleError
from oriel.formats.own_process import command_of, environment_with

_CAN_FORK = sys.platform == "linux"
"""macOS's own libraries may crash in a fork; Windows has none."""
SAID = "said.txt"
"""File in a request's folder with the process's output and errors."""


@dataclass(frozen=True)
class Ended:
    """The end of a process."""

    exit_code: int
    said: str
    """Its output and errors."""


class _Server:
    """The process that forks."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            command_of("oriel.modules.fork_server"),
            env=environment_with(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # A group of its own, so that a fork that never ends can be ended with it.
            start_new_session=True,
        )
        self._owner = os.getpid()
        atexit.register(self.end)

    @property
    def usable(self) -> bool:
        """Return whether it runs and is this process's, which may be a fork of another one."""
        return self._owner == os.getpid() and self._process.poll() is None

    def run(self, folder: Path, timeout: float) -> Ended:
        """Run as the folder says. Raises ModuleError after `timeout` seconds."""
        try:
            return self._run(folder, timeout)
        except BaseException:
            # After an interrupt, say, the answer is still to come: the next request must not read
            # it as its own.
            self.end()
            raise

    def _run(self, folder: Path, timeout: float) -> Ended:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(f"{folder}\n".encode())
        self._process.stdin.flush()
        with DefaultSelector() as selector:
            selector.register(self._process.stdout, EVENT_READ)
            if not selector.select(timeout):
                raise _too_slow(timeout)
        answer = self._process.stdout.readline()
        if not answer.strip():
            # Something ended the server itself. What it forked goes on, for nobody.
            code = self._process.wait()
            self.end()
            return Ended(code, _said(folder))
        return Ended(int(answer), _said(folder))

    def end(self) -> None:
        """End it, and what it forked."""
        if self._owner != os.getpid():
            return
        atexit.unregister(self.end)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()


_lock = threading.Lock()
_server: _Server | None = None


def start_early() -> None:
    """Start what later processes are forked from, while other work goes on."""
    with _lock:
        _running_server()


def run_fresh(folder: Path, timeout: float, paths: Sequence[Path] = ()) -> Ended:
    """Run `python -m oriel.modules.run_file` on a folder in a process that holds nothing of
    this one. Raises ModuleError where it takes longer than `timeout` seconds.

    paths: folders of packages that come before all others; with them, the process starts from
    nothing.
    """
    if not paths:
        with _lock:
            server = _running_server()
            if server is not None:
                return server.run(folder, timeout)
    command = command_of("oriel.modules.run_file", str(folder))
    environment = environment_with(paths)
    with (folder / SAID).open("wb") as said:
        try:
            done = subprocess.run(
                command,
                env=environment,
                stdout=said,
                stderr=said,
                timeout=timeout,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise _too_slow(timeout) from error
    return Ended(done.returncode, _said(folder))


def _running_server() -> _Server | None:
    global _server
    if not _CAN_FORK:
        return None
    if _server is None or not _server.usable:
        _server = _Server()
    return _server


def _too_slow(timeout: float) -> ModuleError:
    return ModuleError("the run of the file takes too long", got=f"more than {timeout:.0f} s")


def _said(folder: Path) -> str:
    file = folder / SAID
    return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
