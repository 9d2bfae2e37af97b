"""oriel add-lens: puts a lens pack into a bundle."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from oriel.commands.command import Command, Parser


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="its folder or model.onnx")
    parser.add_argument("pack", type=Path, metavar="PACK", help="a file that oriel fit-lens wrote")
    parser.add_argument("--name", help="by which it is chosen; default: its kind")
    parser.add_argument("--json", action="store_true", help="print its name as JSON")


def _call(arguments: argparse.Namespace) -> int:
    from oriel.lenses.bundle_packs import add_pack

    name = add_pack(arguments.bundle, arguments.pack, arguments.name)
    if arguments.json:
        print(json.dumps({"bundle": str(arguments.bundle), "lens": name}))
    else:
        print(f"{arguments.bundle} has the lens {name}")
    return 0


COMMAND = Command(
    "add-lens",
    "Put a lens pack into a bundle, for all its variants, or leave it as it is.",
    _add_arguments,
    _call,
)
