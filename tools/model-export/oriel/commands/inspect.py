"""oriel inspect: shows what an exported file, its metadata or a checkpoint holds."""

from __future__ import annotations

import argparse
from pathlib import Path

from oriel.commands.command import Command, Parser


def _add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="metadata.json, .onnx, .pt2, .ts or a checkpoint"
    )


def _call(arguments: argparse.Namespace) -> int:
    from oriel.modules.inspect_file import inspect_file
    from oriel.modules.print_tree import print_tree

    print_tree(inspect_file(arguments.file))
    return 0


COMMAND = Command(
    "inspect",
    "Draw the inputs, outputs and weights of a metadata.json, an ONNX file, a .pt2 or a checkpoint "
    "as a tree; nothing in the file is run.",
    _add_arguments,
    _call,
)
