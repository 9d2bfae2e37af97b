"""oriel lesson: checks a lesson of the page against the model that it is about."""

from __future__ import annotations

import argparse
from pathlib import Path

from oriel.commands.command import Command, Parser


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("action", choices=("check",), help="what to do with the lesson")
    parser.add_argument("file", type=Path, metavar="FILE", help="the lesson, a .json file")
    parser.add_argument(
        "--bundle",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="the exported model that its claims are measured on",
    )
    parser.add_argument(
        "--variant", metavar="NAME", help="variant of steps that name none; default: fp32"
    )


def _call(arguments: argparse.Namespace) -> int:
    from oriel.lessons.check_lesson import check_lesson
    from oriel.lessons.read_lesson import read_lesson

    lesson = read_lesson(arguments.file)
    failed = 0
    for step in check_lesson(lesson, arguments.bundle, arguments.variant):
        print(step.line(), flush=True)
        failed += not step.passed
    steps = len(lesson["steps"])
    print(f"{arguments.file.name}: {steps - failed} of {steps} steps hold")
    return 1 if failed else 0


COMMAND = Command(
    "lesson",
    "Check a lesson: its form, each step's state, and every claim against the model; exit 1 where "
    "one does not hold.",
    _add_arguments,
    _call,
)
