"""Runs a command: a user's mistake becomes one line on stderr and an exit code, and a signal that
ends the program lets it clean up first."""

from __future__ import annotations

import gc
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn, TextIO

from oriel.errors import OrielError

_READER_GONE = 141
"""The exit code of a program whose output nobody reads any more: 128 + SIGPIPE, as in shells."""


def run_command(command: Callable[[], int]) -> int:
    """Call a command and return its exit code. A user's mistake becomes one line on stderr and exit
    code 2; an output that is closed by its reader, as by `head`, ends the command in silence."""
    try:
        try:
            return _exit_code(command)
        finally:
            # Now: once the program ends, nothing could catch that the reader is gone.
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:
        if not _drop_unread_output():
            raise
        return _READER_GONE


def _exit_code(command: Callable[[], int]) -> int:
    try:
        with _signals_as_exceptions():
            return command()
    except (Exception, KeyboardInterrupt) as error:
        stop = _signal_behind(error)
        if stop is not None:
            print("stopped: no file was left half-written", file=sys.stderr)
            # 130 for Ctrl-C, 143 for SIGTERM: the exit codes by which shells name the signal.
            return 128 + (stop.number if isinstance(stop, _Terminated) else signal.SIGINT)
        if isinstance(error, OrielError):
            print(f"error: {error}", file=sys.stderr)
            return error.exit_code
        raise


def _drop_unread_output() -> bool:
    """Send output that has no reader any more nowhere, and return whether there was any. What
    Python still holds of it would else fail once more when the program ends."""
    unread = [stream for stream in (sys.stdout, sys.stderr) if _has_no_reader(stream)]
    for stream in unread:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    return bool(unread)


def _has_no_reader(stream: TextIO | None) -> bool:
    """Return whether a pipe's other end is closed; a broken connection to a host is none."""
    try:
        poll = select.poll()
        poll.register(stream.fileno(), 0)  # type: ignore[union-attr]
    except (AttributeError, OSError, ValueError):
        # There is no such stream, it is none of the system's, or the system can't be asked.
        return False
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


class _Terminated(KeyboardInterrupt):
    """A signal other than Ctrl-C's that asks a program to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def _signals_as_exceptions() -> Iterator[None]:
    """Let SIGTERM (of `kill`, a service manager, a batch system) and SIGHUP (of a closed terminal)
    clean up as Ctrl-C does. One that is ignored, as under nohup, stays ignored."""
    if threading.current_thread() is not threading.main_thread():
        # Only the main thread may set handlers.
        yield
        return

    def end(number: int, _: FrameType | None) -> NoReturn:
        # A second signal doesn't interrupt the cleaning up.
        signal.signal(number, signal.SIG_IGN)
        raise _Terminated(number)

    known = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    taken = [number for number in known if signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _signal_behind(error: BaseException) -> KeyboardInterrupt | None:
    """Return the signal that caused an error, if any: an interrupted library may raise another
    error in its place."""
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        if isinstance(at, KeyboardInterrupt):
            return at
        seen.add(id(at))
        at = at.__cause__ or at.__context__
    return None


def leave(code: int) -> NoReturn:
    """End the process. The interpreter's last garbage collection takes a second after a trace, and
    the memory is freed with the process anyway: freezing leaves it nothing to search."""
    gc.freeze()
    sys.exit(code)
