"""oriel pipeline: one model in many formats, proven and measured, and their table."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from oriel.commands.command import Command, Parser


def _add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "model", metavar="MODEL", help="a model's folder, Hub id, `demo`, or path/to/spec.py:NAME"
    )
    parser.add_argument(
        "--formats",
        default="all",
        metavar="pt2,onnx,…",
        help="formats to make, or all whose packages are here; default: all",
    )
    parser.add_argument(
        "--precision",
        default="fp32",
        metavar="fp32,int8,int8_static",
        help="of those files of a model of transformers that have int8 forms; default: fp32, which "
        "is always made",
    )
    parser.add_argument(
        "--only",
        metavar="onnx,…",
        help="of these formats, those to make and time in this call; the rest keep their rows",
    )
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of the files, of pipeline.json, pipeline.md and pipeline.svg; files that are "
        "there already stay",
    )
    parser.add_argument(
        "--rounds",
        type=_count,
        default=3,
        metavar="N",
        help="processes that time each file, in turns; 0 for no times; default: 3",
    )
    parser.add_argument("--again", action="store_true", help="make files anew that are there")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")


def _count(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 100, got {text}")
    return value


def _call(arguments: argparse.Namespace) -> int:
    from oriel.formats import check_formats, format_names
    from oriel.modules.library_folder import SUFFIXES
    from oriel.options import parse_words
    from oriel.pipeline.run_pipeline import PipelineOptions, run_pipeline
    from oriel.pipeline.table import table_text
    from oriel.pipeline.write_results import write_results
    from oriel.progress import choose_display

    names = format_names(arguments.formats)
    every = tuple(form.name for form in check_formats(names))
    only = every if arguments.only is None else parse_words(arguments.only, "--only", every)
    precisions = parse_words(arguments.precision, "--precision", tuple(SUFFIXES))
    options = PipelineOptions(
        arguments.model, only, arguments.output, precisions, arguments.rounds, arguments.again
    )
    with choose_display(arguments.json) as display:
        rows = run_pipeline(options, display.stage)
        rows, note = write_results(rows, every, arguments.output)
        if note is not None:
            display.stage(note)
    if arguments.json:
        print(json.dumps([row.to_json() for row in rows], allow_nan=False))
    else:
        print(table_text(rows), end="")
    return 1 if any(row.verdict == "failed" for row in rows) else 0


COMMAND = Command(
    "pipeline",
    "Make one model in many formats, prove each against PyTorch, and measure size, loading, speed "
    "and memory in one table; exit 1 if a format fails.",
    _add_arguments,
    _call,
)
