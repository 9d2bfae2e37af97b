"""Shows the stages of a run: live on a terminal, as plain lines elsewhere, or not at all."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn


class StageDisplay(Protocol):
    """Display of the current stage; bytes are counted apart, since they are written meanwhile."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
    def stage(self, text: str) -> None: ...
    def expect_bytes(self, total: int, what: str = ...) -> None: ...
    def add_bytes(self, count: int) -> None: ...


class PlainLines:
    """Prints a line for each stage, with seconds since the start: for logs and pipes."""

    def __init__(self) -> None:
        self.start = time.monotonic()
        self.total = self.moved = 0
        self.what = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def stage(self, text: str) -> None:
        print(f"[{time.monotonic() - self.start:6.1f} s] {text}", file=sys.stderr, flush=True)

    def expect_bytes(self, total: int, what: str = "weights written") -> None:
        self.total, self.moved, self.what = total, 0, what

    def add_bytes(self, count: int) -> None:
        self.moved += count
        if self.total and self.moved >= self.total:
            self.total = 0
            self.stage(f"{self.what}: {self.moved / 1e6:.1f} MB")


class LiveStages:
    """A spinner with the present stage, a bar for bytes on their way, and a line for each stage
    that is over."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self.progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            DownloadColumn(),
            console=console,
            transient=True,
        )
        self.start = time.monotonic()
        self.current: str | None = None
        self.bytes = self.progress.add_task("bytes", visible=False, total=None)
        self.task = self.progress.add_task("start", total=None)

    def __enter__(self) -> Self:
        self.progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._finish(error is None)
        self.progress.stop()

    def stage(self, text: str) -> None:
        self._finish(True)
        self.current = text
        self.progress.update(self.task, description=escape(text))

    def _finish(self, well: bool) -> None:
        if self.current is not None:
            mark = "[green]✓[/green]" if well else "[red]✗[/red]"
            seconds = f"[dim]{time.monotonic() - self.start:5.1f} s[/dim]"
            self.progress.console.print(
                f"{mark} {seconds} {escape(self.current)}", highlight=False, soft_wrap=True
            )
        self.current = None

    def expect_bytes(self, total: int, what: str = "weights written") -> None:
        self.progress.update(self.bytes, description=what, total=total, completed=0, visible=True)

    def add_bytes(self, count: int) -> None:
        self.progress.advance(self.bytes, count)


class Silent(PlainLines):
    """Prints nothing, for callers that want only data."""

    def stage(self, text: str) -> None:
        return None


def choose_display(quiet: bool) -> StageDisplay:
    """Return a live display on a terminal, lines elsewhere."""
    if quiet:
        return Silent()
    return LiveStages() if sys.stderr.isatty() else PlainLines()
