"""What runs on GitHub is what runs here: workflows call the repository's own commands, and nothing
that may change under them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from check_parts import PARTS, choose

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
MAKE_TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))


def test_there_are_workflows() -> None:
    assert {file.name for file in WORKFLOWS} >= {"ci.yml", "pages.yml"}


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_actions_are_pinned_by_major_version(file: Path) -> None:
    for action in re.findall(r"uses: *(\S+)", file.read_text("utf-8")):
        assert re.fullmatch(r"actions/[a-z-]+@v\d+", action), action


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_steps_run_commands_that_anyone_can_run(file: Path) -> None:
    commands = re.findall(r"run: *(.+)", file.read_text("utf-8"))
    assert commands
    for command in commands:
        program, *targets = re.sub(r'PARTS="\$\{\{ matrix.parts \}\}"', "", command).split()
        if program == "make":
            assert set(targets) <= MAKE_TARGETS, command
        else:
            assert (ROOT / program).is_file() and not targets, command


def test_every_push_runs_every_part() -> None:
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8")
    words = [word for parts in re.findall(r"parts: (.+)", text) for word in parts.split()]
    assert 'make test PARTS="${{ matrix.parts }}"' in text
    assert set(choose(words)) == set(PARTS)


def test_what_is_called_nightly_is_run_by_a_workflow_with_a_schedule() -> None:
    """`make test` leaves these out, so nobody would notice that they never run."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    nightly = set(re.findall(r"^([a-z-]+):.*## .*nightly", makefile, re.MULTILINE))
    texts = [file.read_text("utf-8") for file in WORKFLOWS]
    scheduled = "".join(text for text in texts if re.search(r"^  schedule:$", text, re.MULTILINE))
    assert nightly
    assert nightly == set(re.findall(r"run: make (\S+)", scheduled))
