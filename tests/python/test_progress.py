"""What an export says while it works: live on a terminal, a line a stage elsewhere, nothing where
asked."""

from __future__ import annotations

import io
import os
import pty
import re
import sys

import pytest
from rich.console import Console

from oriel import progress
from oriel.progress import LiveStages, PlainLines, Silent, StageDisplay, choose_display

LINE = re.compile(r"\[ *\d+\.\d s\] (.*)")


def do_work(display: StageDisplay) -> None:
    with display:
        display.stage("download model.safetensors of a/b")
        display.expect_bytes(3_000_000, "downloaded")
        display.add_bytes(1_000_000)
        display.add_bytes(2_000_000)
        display.stage("trace [3] of 12 layers")
        display.expect_bytes(2_000_000)
        display.add_bytes(2_000_000)
        display.stage("write the manifest")


def test_plain_lines_have_a_time_and_a_stage(capsys: pytest.CaptureFixture[str]) -> None:
    do_work(PlainLines())
    out, err = capsys.readouterr()
    assert out == ""
    matches = [LINE.fullmatch(line) for line in err.splitlines()]
    assert [match and match[1] for match in matches] == [
        "download model.safetensors of a/b",
        "downloaded: 3.0 MB",
        "trace [3] of 12 layers",
        "weights written: 2.0 MB",
        "write the manifest",
    ]


def test_silence(capsys: pytest.CaptureFixture[str]) -> None:
    do_work(Silent())
    assert capsys.readouterr() == ("", "")


def test_a_pipe_gets_lines_and_json_gets_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert type(choose_display(False)) is PlainLines
    assert type(choose_display(True)) is Silent


def test_a_terminal_gets_the_live_display(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        assert type(choose_display(False)) is LiveStages
        assert type(choose_display(True)) is Silent
    os.close(ours)


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    text = io.StringIO()
    monkeypatch.setattr(
        progress,
        "Console",
        lambda **_: Console(file=text, force_terminal=True, width=60, color_system=None),
    )
    return text


def visible(screen: io.StringIO) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen.getvalue())


def test_a_live_display_ticks_off_each_stage_once(screen: io.StringIO) -> None:
    do_work(LiveStages())
    lines = [line.strip() for line in re.split(r"[\r\n]+", visible(screen))]
    done = [re.sub(r" +\d+\.\d s ", " ", line) for line in lines if line.startswith("✓")]
    assert done == [
        "✓ download model.safetensors of a/b",
        "✓ trace [3] of 12 layers",
        "✓ write the manifest",
    ]
    assert "✗" not in visible(screen)


def test_a_live_display_counts_one_thing_after_another(screen: io.StringIO) -> None:
    display = LiveStages()
    with display:
        display.stage("download")
        display.expect_bytes(10, "downloaded")
        display.add_bytes(10)
        display.expect_bytes(40)
        display.add_bytes(5)
        task = display.progress.tasks[display.bytes]
        assert (task.description, task.total, task.completed) == ("weights written", 40, 5)


def test_a_stage_that_fails_is_crossed_out_and_the_cursor_comes_back(screen: io.StringIO) -> None:
    def work() -> None:
        with LiveStages() as display:
            display.stage("read the checkpoint")
            display.stage("trace")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    marks = re.findall(r"([✓✗]) +\d+\.\d s (\w+)", visible(screen))
    assert marks == [("✓", "read"), ("✗", "trace")]
    # Hidden while it moves; shown again at the end.
    assert screen.getvalue().rfind("\x1b[?25h") > screen.getvalue().rfind("\x1b[?25l")
