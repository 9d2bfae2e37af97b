"""`make test`: run every linter, type checker and test, in lanes side by side; the first failure
ends it. The parts are listed in check_parts.py, and what each one checks is set in pyproject.toml,
package.json and their config files. The time of each part is left in test-results/part_times.json.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO

from check_parts import LANES, PROGRAMS, Part, choose, count_tests, failed_tests

ROOT = Path(__file__).resolve().parents[1]
TIMES = ROOT / "test-results" / "part_times.json"
TELL_AFTER_SECONDS = 60.0
"""Longest time without a line of output: some services end a run that falls silent."""

END_WITHIN_SECONDS = 15.0
"""Time that a part gets to end when it is asked to, before it is killed."""


@dataclass
class Outcome:
    """The end of a part: its result, its times and its counts."""

    name: str
    result: str
    """passed, failed, or stopped because another one failed."""
    seconds: float
    cpu_seconds: float
    """User and system time of the part's processes that have ended."""
    counts: Counter[str]
    failed_tests: list[str]
    """Names of the tests that failed, of a part that failed."""


@dataclass
class Run:
    """State that the lanes share while they run; `changed` guards it, and the printing."""

    lanes: list[list[Part]]
    environment: dict[str, str]
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    buffered: set[str] = field(default_factory=set)
    """The running parts whose output is shown at their end."""
    failed: str | None = None
    changed: threading.Condition = field(default_factory=threading.Condition)

    def is_alone(self, part: Part) -> bool:
        """Return whether no other lane has anything left to run beside this part."""
        others = [other for lane in self.lanes if part not in lane for other in lane]
        return all(other.name in self.outcomes for other in others)

    def is_ready(self, part: Part) -> bool:
        """Return whether a part need not wait: what it needs has passed, or all is over."""
        return self.failed is not None or all(name in self.outcomes for name in part.after)


def main() -> int:
    """Run the parts named in the arguments, `lint` for all linters, or everything."""
    try:
        names = choose(sys.argv[1:])
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    lanes = [[part for part in lane if part.name in names] for lane in LANES]
    lanes = [lane for lane in lanes if lane]
    environment = find_programs([part for lane in lanes for part in lane])
    if environment is None:
        return 1
    started = time.monotonic()
    state = run_lanes(lanes, environment)
    return report(state, time.monotonic() - started, TIMES)


def run_lanes(lanes: list[list[Part]], environment: dict[str, str]) -> Run:
    """Run the lanes side by side, each part after part, and return what became of them."""
    state = Run(lanes, environment)
    threads = [threading.Thread(target=run_lane, args=(lane, state)) for lane in lanes]
    for thread in threads:
        thread.start()
    try:
        wait_for(threads, state)
    except KeyboardInterrupt:
        stop(state, "interrupted")
        wait_for(threads, state)
    return state


def find_programs(parts: list[Part]) -> dict[str, str] | None:
    """Return the environment of the parts, or None where a program that one needs is missing."""
    environment = dict(os.environ)
    # OpenMP's threads spin while they wait for one another: beside another lane, torch's two took
    # 70 s of processor time for what one does in 9 s.
    environment.setdefault("OMP_NUM_THREADS", "1")
    if sys.stdout.isatty():
        environment.setdefault("FORCE_COLOR", "1")
    # npm and Node's tools warn when both are set.
    if "FORCE_COLOR" in environment:
        environment.pop("NO_COLOR", None)
    for variable in sorted({variable for part in parts for variable in part.programs}):
        finder = [sys.executable, str(ROOT / PROGRAMS[variable])]
        found = subprocess.run(finder, stdout=subprocess.PIPE, text=True, check=False)
        if found.returncode != 0:
            return None
        environment[variable] = found.stdout.strip()
    return environment


def run_lane(lane: list[Part], state: Run) -> None:
    """Run parts one after another, until one of any lane fails."""
    for part in lane:
        with state.changed:
            state.changed.wait_for(partial(state.is_ready, part))
            if state.failed is not None:
                return
        run_part(part, state)


def run_part(part: Part, state: Run) -> None:
    """Run a part, show its output, and record how it ended.

    The output is shown as it comes where nothing else can come between, and otherwise at the end.
    """
    words = " ".join(part.command).replace(sys.executable, "python")
    heading = f"\n--- {part.name}: {words}"
    began = time.monotonic()
    with tempfile.TemporaryFile() as written:
        with state.changed:
            streamed = state.is_alone(part)
            if streamed:
                print(heading, flush=True)
            else:
                state.buffered.add(part.name)
            process = start(part, state, subprocess.PIPE if streamed else written)
        if process is not None and process.stdout is not None:
            for line in process.stdout:
                written.write(line)
                sys.stdout.buffer.write(line)
                sys.stdout.flush()
        cpu_seconds = 0.0 if process is None else wait_and_measure(process)
        written.seek(0)
        output = written.read().decode("utf-8", "replace")
    with state.changed:
        state.running.pop(part.name, None)
        state.buffered.discard(part.name)
        passed = process is not None and process.returncode == 0
        result = "passed" if passed else "failed" if state.failed is None else "stopped"
        seconds = time.monotonic() - began
        counts = count_tests(part.name, output)
        tests = failed_tests(part.name, output) if result == "failed" else []
        state.outcomes[part.name] = Outcome(part.name, result, seconds, cpu_seconds, counts, tests)
        if not streamed and result != "stopped":
            print(f"{heading}\n{output.rstrip()}", flush=True)
        if result == "failed":
            stop(state, part.name)
        state.changed.notify_all()


def start(part: Part, state: Run, output: int | IO[bytes]) -> subprocess.Popen[bytes] | None:
    """Start a part's program; where it can't be, say so and return None."""
    if state.failed is not None:
        return None
    try:
        process = subprocess.Popen(
            part.command,
            cwd=ROOT,
            env=state.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # A group of its own, so that what it starts can be stopped with it.
            start_new_session=True,
        )
    except OSError as error:
        print(f"{part.command[0]} does not start: {error.strerror}", file=sys.stderr)
        return None
    state.running[part.name] = process
    return process


def wait_and_measure(process: subprocess.Popen[bytes]) -> float:
    """Wait for a process and return the CPU seconds that it and its children took."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime


def stop(state: Run, failed: str) -> None:
    """Start no further part, and ask those that run to end."""
    with state.changed:
        if state.failed is None:
            state.failed = failed
            # As from the keyboard: Playwright then ends its servers, which are in no group of ours.
            signal_all(state, signal.SIGINT)
        state.changed.notify_all()


def signal_all(state: Run, number: signal.Signals) -> None:
    """Send a signal to every part that runs, and to what it has started."""
    with state.changed:
        for process in state.running.values():
            try:
                os.killpg(process.pid, number)
            except ProcessLookupError:
                continue


def wait_for(threads: list[threading.Thread], state: Run) -> None:
    """Wait for the lanes; say now and then which parts run unseen, and end what doesn't end."""
    started = told = time.monotonic()
    harder = iter((signal.SIGTERM, signal.SIGKILL))
    failed_at: float | None = None
    while any(thread.is_alive() for thread in threads):
        for thread in threads:
            thread.join(timeout=0.1)
        now = time.monotonic()
        if state.failed is not None:
            failed_at = failed_at or now
            if now - failed_at > END_WITHIN_SECONDS:
                failed_at = now
                signal_all(state, next(harder, signal.SIGKILL))
        if now - told < TELL_AFTER_SECONDS:
            continue
        told = now
        with state.changed:
            if state.buffered:
                running = " and ".join(sorted(state.buffered))
                print(f"... {told - started:.0f} s: {running} running", flush=True)


def report(state: Run, seconds: float, path: Path) -> int:
    """Print the time of each part and write it to a file; return the exit code."""
    parts = [part for lane in state.lanes for part in lane]
    outcomes = [state.outcomes[part.name] for part in parts if part.name in state.outcomes]
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = {
        "seconds": round(seconds, 1),
        "failed": state.failed,
        "parts": [
            {
                "name": outcome.name,
                "result": outcome.result,
                "seconds": round(outcome.seconds, 1),
                "cpu_seconds": round(outcome.cpu_seconds, 1),
                "counts": outcome.counts,
            }
            for outcome in outcomes
        ],
    }
    path.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    print(f"\n{'part':<14}{'time':>9}{'CPU':>10}")
    total: Counter[str] = Counter()
    for outcome in outcomes:
        said = as_text(outcome.counts) or ("ok" if outcome.result == "passed" else "")
        said = said if outcome.result == "passed" else f"{outcome.result} {said}".rstrip()
        times = f"{outcome.seconds:7.1f} s{outcome.cpu_seconds:8.1f} s"
        print(f"{outcome.name:<14}{times}   {said}")
        total += outcome.counts
    if state.failed is not None:
        # Last, where it is seen: often nothing but the end of a long output is kept.
        for outcome in outcomes:
            for test in outcome.failed_tests:
                print(f"failed: {test}")
        print(f"FAILED: {state.failed}; the other parts were stopped or did not run")
        return 1
    print(f"===== {as_text(total) or f'{len(outcomes)} checks passed'} in {seconds:.2f}s =====")
    return 0


def as_text(counts: Counter[str]) -> str:
    """Write counts as '212 passed, 1 skipped'."""
    order = ("failed", "passed", "skipped", "xfailed", "flaky")
    return ", ".join(f"{counts[word]} {word}" for word in order if counts[word])


def interrupt(*_: object) -> None:
    """End a run that is told to end as one that is interrupted at the keyboard."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, interrupt)
    sys.exit(main())
