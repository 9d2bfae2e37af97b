"""Whole processes, timed in turns: wall seconds and peak memory of each run, ratios pair by pair.
Machines are shared and noisy, so what counts is the ratio and its spread."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Run:
    """One finished process."""

    seconds: float
    cpu_seconds: float
    """User and system: steadier than wall time where others use the machine."""
    peak_mb: float
    """Highest resident set, MB of 10^6 bytes."""


def run_once(command: Sequence[str]) -> Run:
    """Run a command to its end. Raises RuntimeError with the output where it fails."""
    start = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    if process.returncode != 0:
        text = output.decode(errors="replace")[-2000:]
        raise RuntimeError(f"{' '.join(command)} failed:\n{text}")
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6)


def in_turns(commands: Sequence[Sequence[str]], rounds: int) -> list[list[Run]]:
    """Return the runs of each command: a warm-up of each, then A B C A B C …"""
    for command in commands:
        run_once(command)
    turns = [[run_once(command) for command in commands] for _ in range(rounds)]
    return [list(runs) for runs in zip(*turns, strict=True)]


def spread(values: Sequence[float]) -> str:
    """'median (min to max)'."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def print_ratios(names: Sequence[str], runs: Sequence[Sequence[Run]], ours: int) -> None:
    """Print each of the first `ours` commands over each of the others, pair by pair."""
    for name, own in zip(names[:ours], runs[:ours], strict=True):
        for other, theirs in zip(names[ours:], runs[ours:], strict=True):
            pairs = list(zip(own, theirs, strict=True))
            wall = spread([x.seconds / y.seconds for x, y in pairs])
            cpu = spread([x.cpu_seconds / y.cpu_seconds for x, y in pairs])
            peak = spread([x.peak_mb / y.peak_mb for x, y in pairs])
            print(f"{name} over {other}: wall {wall}, processor {cpu}, peak memory {peak}")
