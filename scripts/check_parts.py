"""The parts of `make test`: what each one runs, and what it needs first. run_checks.py runs
them."""

from __future__ import annotations

import re
import sys
from collections import Counter
from dataclasses import dataclass

NPM = ("npm", "run", "--silent")
PYTHON = (sys.executable, "-m")


@dataclass(frozen=True)
class Part:
    """A name to show and to choose by, a command, and the parts that must have passed before."""

    name: str
    command: tuple[str, ...]
    after: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    """Variables that name a program; PROGRAMS says who finds each."""


PROGRAMS = {
    "ORIEL_CHROMIUM": "scripts/find_chromium.py",
    "ORIEL_NGINX": "scripts/find_nginx.py",
}

# Two lanes, side by side: the second makes the bundles that pytest and the browser tests open,
# while the linters run. pytest and the browsers load every core each: beside one another both take
# more time in sum, and what a browser test waits for comes late.
LANES: tuple[tuple[Part, ...], ...] = (
    (
        Part("ruff", (*PYTHON, "ruff", "check", ".")),
        Part("ruff-format", (*PYTHON, "ruff", "format", "--check", ".")),
        Part("contract", (*NPM, "contract:check")),
        Part("prettier", (*NPM, "format:check")),
        Part("eslint", (*NPM, "lint")),
        Part("mypy", (*PYTHON, "mypy")),
        Part("svelte-check", (*NPM, "check")),
        Part("vitest", (*NPM, "test")),
        # The page that oriel.show draws, in the package.
        Part("standalone", (*NPM, "standalone")),
        # Files side by side; the tests of one file stay together, since they share what they set
        # up.
        Part(
            "pytest",
            (*PYTHON, "pytest", "--numprocesses=2", "--dist=loadfile"),
            after=("demo", "standalone"),
            programs=("ORIEL_NGINX",),
        ),
        Part(
            "playwright",
            (*NPM, "test:browser"),
            after=("bundles", "standalone"),
            programs=("ORIEL_CHROMIUM", "ORIEL_NGINX"),
        ),
    ),
    (
        Part("demo", (sys.executable, "scripts/demo_bundle.py")),
        Part("bundles", (sys.executable, "scripts/browser_bundles.py"), after=("demo",)),
    ),
)
PARTS = {part.name: part for lane in LANES for part in lane}
GROUPS = {"lint": ("ruff", "ruff-format", "contract", "prettier", "eslint", "mypy", "svelte-check")}
"""Names for several parts at once."""

_ESCAPES = re.compile(r"\x1b\[[0-9;]*m")
_COUNT = re.compile(r"\b(\d+) (passed|failed|skipped|xfailed|flaky)\b")
_CLOSING = {
    "pytest": re.compile(r"^=+ .* in [\d.]+s"),
    "vitest": re.compile(r"^\s*Tests\s"),
    "playwright": re.compile(r"^\s+\d+ (passed|failed|skipped|flaky)\b"),
}
_FAILED = {
    "pytest": re.compile(r"^(?:FAILED|ERROR) (\S.*)"),
    "vitest": re.compile(r"^\s*FAIL\s+(\S.*)"),
}


def choose(words: list[str]) -> list[str]:
    """Return the names of the parts that these words ask for, and of what those need first.

    Without a word, all of them. Raises ValueError for a word that names none.
    """
    unknown = sorted(set(words) - PARTS.keys() - GROUPS.keys())
    if unknown:
        known = ", ".join([*GROUPS, *PARTS])
        raise ValueError(f"unknown: {', '.join(unknown)}; known: {known}")
    waiting = [name for word in words for name in GROUPS.get(word, (word,))] or list(PARTS)
    chosen: set[str] = set()
    while waiting:
        name = waiting.pop()
        chosen.add(name)
        waiting.extend(PARTS[name].after)
    return [name for name in PARTS if name in chosen]


def count_tests(name: str, output: str) -> Counter[str]:
    """Count what a runner's closing lines say of tests; of files it counts nothing."""
    counts: Counter[str] = Counter()
    for line in _ESCAPES.sub("", output).splitlines():
        if name in _CLOSING and _CLOSING[name].search(line):
            for number, outcome in _COUNT.findall(line):
                counts[outcome] += int(number)
    return counts


def failed_tests(name: str, output: str) -> list[str]:
    """Return the names of the tests that a runner's closing lines call failed."""
    lines = _ESCAPES.sub("", output).splitlines()
    if name == "playwright":
        # It lists the failed, the flaky and the interrupted tests under a count of each.
        failed, outcome = [], ""
        for line in lines:
            count = _COUNT.fullmatch(line.strip())
            outcome = count.group(2) if count else outcome
            if outcome == "failed" and line.startswith("    ["):
                failed.append(line.strip())
        return failed
    if name not in _FAILED:
        return []
    found = (_FAILED[name].match(line) for line in lines)
    return list(dict.fromkeys(match.group(1) for match in found if match))
