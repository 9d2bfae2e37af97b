"""A command ends in silence where nobody reads its output to the end: `oriel --help | head -1`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

import pytest

import oriel
from oriel.cli import COMMANDS
from oriel.commands.run_command import run_command

ROOT = Path(oriel.__file__).parents[1]
READER_GONE = 141
"""What a shell tells of a program that SIGPIPE ended."""


def run_unread(
    args: list[str], unread: Literal["stdout", "stderr"], *flags: str
) -> subprocess.CompletedProcess[str]:
    """Run a program whose stdout or stderr has lost its reader before the first byte."""
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, *flags, *args]
    # Only the flags say whether Python holds output back.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    try:
        return subprocess.run(
            command,
            cwd=ROOT,
            env=env,
            stdout=writer if unread == "stdout" else subprocess.PIPE,
            stderr=writer if unread == "stderr" else subprocess.PIPE,
            text=True,
            check=False,
            timeout=120,
        )
    finally:
        os.close(writer)


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_every_help_ends_in_silence(command: list[str]) -> None:
    done = run_unread(["-m", "oriel", *command, "--help"], "stdout")
    assert done.stderr == ""
    assert done.returncode == READER_GONE


def test_output_that_no_buffer_holds_ends_in_silence() -> None:
    done = run_unread(["-m", "oriel", "--help"], "stdout", "-u")
    assert (done.stderr, done.returncode) == ("", READER_GONE)


def test_an_error_that_nobody_reads_ends_in_silence() -> None:
    done = run_unread(["-m", "oriel", "exprot"], "stderr")
    assert (done.stdout, done.returncode) == ("", READER_GONE)


def test_a_long_output_stops_at_once_and_cleans_up(tmp_path: Path) -> None:
    program = f"""
from pathlib import Path
from oriel.commands.run_command import leave, run_command

def work():
    try:
        for _ in range(10**9):
            print("x" * 1000)
    finally:
        Path({str(tmp_path / "cleaned")!r}).touch()

leave(run_command(work))
"""
    done = run_unread(["-c", program], "stdout")
    assert (done.stderr, done.returncode) == ("", READER_GONE)
    assert (tmp_path / "cleaned").exists()


def test_a_host_that_hangs_up_is_no_reader() -> None:
    """A defect of ours keeps its traceback."""

    def send() -> int:
        raise BrokenPipeError(32, "of a socket")

    with pytest.raises(BrokenPipeError, match="of a socket"):
        run_command(send)


@pytest.mark.parametrize("code", [0, 1, 3])
def test_output_that_is_read_keeps_its_code(code: int, capsys: pytest.CaptureFixture[str]) -> None:
    def say() -> int:
        print("all of it")
        return code

    assert run_command(say) == code
    assert capsys.readouterr().out == "all of it\n"
