"""oriel add-dashboards: puts dashboards into a bundle."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from oriel.commands.command import Command, Parser


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="its folder or model.onnx")
    parser.add_argument("set", type=Path, metavar="DIR", help="what oriel dashboards --out wrote")
    parser.add_argument("--json", action="store_true", help="print the record as JSON")


def _call(arguments: argparse.Namespace) -> int:
    from oriel.dashboards.bundle_set import add_set

    record = add_set(arguments.bundle, arguments.set)
    if arguments.json:
        print(json.dumps({"bundle": str(arguments.bundle), **record}))
    else:
        units = sum(group["units"] for group in record["groups"])
        print(f"{arguments.bundle} has dashboards of {units} units")
    return 0


COMMAND = Command(
    "add-dashboards",
    "Put dashboards into a bundle, to be published with it, or leave it as it is.",
    _add_arguments,
    _call,
)
