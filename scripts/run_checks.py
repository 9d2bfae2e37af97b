"""`make test`: every linter, type checker and test, one after the other; the first failure ends it.
What each one checks is set in pyproject.toml, package.json and their config files."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NPM = ("npm", "run", "--silent")
PYTHON = (sys.executable, "-m")


@dataclass(frozen=True)
class Part:
    """A name to show and to choose by, and a command."""

    name: str
    command: tuple[str, ...]


PARTS = (
    Part("ruff", (*PYTHON, "ruff", "check", ".")),
    Part("ruff-format", (*PYTHON, "ruff", "format", "--check", ".")),
    Part("contract", (*NPM, "contract:check")),
    Part("prettier", (*NPM, "format:check")),
    Part("eslint", (*NPM, "lint")),
    Part("mypy", (*PYTHON, "mypy")),
    Part("svelte-check", (*NPM, "check")),
    Part("vitest", (*NPM, "test")),
    # Files side by side; the tests of one file stay together, since they share what they set up.
    Part("pytest", (*PYTHON, "pytest", "--numprocesses=auto", "--dist=loadfile")),
    Part("playwright", (*NPM, "test:browser")),
)
LINTERS = ("ruff", "ruff-format", "contract", "prettier", "eslint", "mypy", "svelte-check")
COUNT = re.compile(r"\b(\d+) (passed|failed|skipped|xfailed|flaky)\b")
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


def main() -> int:
    """Run the parts named in the arguments, `lint` for all linters, or everything."""
    wanted = sys.argv[1:] or [part.name for part in PARTS]
    names = [name for word in wanted for name in (LINTERS if word == "lint" else (word,))]
    unknown = set(names) - {part.name for part in PARTS}
    if unknown:
        known = ", ".join(part.name for part in PARTS)
        print(f"unknown: {', '.join(sorted(unknown))}; known: lint, {known}", file=sys.stderr)
        return 2
    started = time.monotonic()
    rows: list[str] = []
    total: Counter[str] = Counter()
    for part in PARTS:
        if part.name not in names:
            continue
        began = time.monotonic()
        code, counts = run(part)
        seconds = time.monotonic() - began
        rows.append(f"{part.name:<14}{seconds:7.1f} s   {told(counts) or ('' if code else 'ok')}")
        if code != 0:
            print("\n" + "\n".join(rows))
            print(f"FAILED: {part.name} (exit code {code}); the parts after it did not run")
            return 1
        total += counts
    took = time.monotonic() - started
    print("\n" + "\n".join(rows))
    print(f"===== {told(total) or f'{len(rows)} checks passed'} in {took:.2f}s =====")
    return 0


def run(part: Part) -> tuple[int, Counter[str]]:
    """Run a part with its output shown as it comes; its exit code and the tests that it counted."""
    print(
        f"\n--- {part.name}: {' '.join(part.command).replace(sys.executable, 'python')}", flush=True
    )
    environment = dict(os.environ)
    if sys.stdout.isatty():
        environment.setdefault("FORCE_COLOR", "1")
    # npm and Node's tools warn when both are set.
    if "FORCE_COLOR" in environment:
        environment.pop("NO_COLOR", None)
    counts: Counter[str] = Counter()
    with subprocess.Popen(
        part.command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            count_tests(part.name, ESCAPES.sub("", line), counts)
    return process.returncode, counts


def count_tests(name: str, line: str, counts: Counter[str]) -> None:
    """Take the counts from a runner's closing lines, of tests and not of files."""
    closing = {
        "pytest": r"^=+ .* in [\d.]+s",
        "vitest": r"^\s*Tests\s",
        "playwright": r"^\s+\d+ (passed|failed|skipped|flaky)\b",
    }
    if name in closing and re.search(closing[name], line):
        for number, outcome in COUNT.findall(line):
            counts[outcome] += int(number)


def told(counts: Counter[str]) -> str:
    """'212 passed, 1 skipped'."""
    order = ("failed", "passed", "skipped", "xfailed", "flaky")
    return ", ".join(f"{counts[word]} {word}" for word in order if counts[word])


if __name__ == "__main__":
    sys.exit(main())
