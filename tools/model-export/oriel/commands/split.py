"""oriel split: writes the networks of a training checkpoint as files of their own."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from oriel.commands.command import Command, Parser


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("checkpoint", type=Path, metavar="CKPT")
    parser.add_argument("--output-dir", type=Path, required=True, metavar="DIR")
    parser.add_argument(
        "--no-discriminators", action="store_true", help="leave out what only training needs"
    )
    parser.add_argument(
        "--create-inference-script",
        action="store_true",
        help="write inference_example.py, which runs in DIR without Oriel",
    )
    parser.add_argument(
        "--network",
        metavar="FILE.py:CLASS",
        help="the generators' class, in a file that needs torch alone; it is run to find the "
        "settings that fit, and copied into DIR",
    )
    parser.add_argument(
        "--components",
        metavar="PREFIX,…",
        help="the networks' prefixes; default: those that the tensors' names show",
    )
    parser.add_argument(
        "--normalization",
        type=Path,
        metavar="FILE",
        help="means and deviations, JSON or .npz; default: looked for in CKPT, beside it and one "
        "folder up",
    )
    parser.add_argument(
        "--unsafe-pickle",
        action="store_true",
        help="run whatever code CKPT holds; only for files of your own",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def _call(arguments: argparse.Namespace) -> int:
    from oriel.splitting.split import SplitOptions, split_checkpoint
    from oriel.splitting.split_report import report_lines, warning_lines

    given = vars(arguments).copy()
    as_json = bool(given.pop("json"))
    words = (given.pop("components") or "").split(",")
    report = split_checkpoint(
        SplitOptions(**given, components=tuple(word.strip() for word in words if word.strip()))
    )
    for line in warning_lines(report):
        print(line, file=sys.stderr)
    if as_json:
        print(json.dumps(report.to_json(), allow_nan=False))
    else:
        print("\n".join(report_lines(report)))
    return 0


COMMAND = Command(
    "split",
    "Write the networks of a training checkpoint, such as a GAN's, as one file each, without "
    "running code of the checkpoint's.",
    _add_arguments,
    _call,
)
