"""oriel doctor: says whether a checkpoint can be exported, and what to change if not."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from oriel.commands.command import Command, Parser


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("model", metavar="MODEL", help="Hub id, local folder, or demo")
    parser.add_argument("--revision", help="the Hub's branch, tag or commit")
    parser.add_argument(
        "--adapter", type=Path, metavar="FOLDER", help="a LoRA adapter of PEFT's for the model"
    )
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def _call(arguments: argparse.Namespace) -> int:
    from oriel.doctor.examine import examine
    from oriel.doctor.print_findings import report_lines
    from oriel.models.find_checkpoint import find_checkpoint, with_adapter
    from oriel.progress import choose_display

    with choose_display(arguments.json) as display:
        display.stage("find the checkpoint")
        base = find_checkpoint(arguments.model, arguments.revision, display, with_weights=False)
        found = with_adapter(base, arguments.adapter)
        display.stage(f"examine {found.name} ({found.kind})")
        examination = examine(found)
    if arguments.json:
        print(json.dumps(examination.to_json()))
    else:
        print("\n".join(report_lines(examination)))
    return 0 if examination.works else 1


COMMAND = Command(
    "doctor",
    "Say whether a checkpoint can be exported, and if not, what to change; nothing is written, and "
    "of the weights only names, dtypes and shapes are read.",
    _add_arguments,
    _call,
)
