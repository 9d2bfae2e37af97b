"""oriel check-device: replays a bundle's reference passes on this machine."""

from __future__ import annotations

import argparse
import json

from oriel.commands.command import Command, Parser


def _add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "place", metavar="URL|FOLDER", help="a published model's address, or a bundle's folder"
    )
    parser.add_argument("--variant", metavar="NAME", help="one of them; default: all")
    parser.add_argument(
        "--provider",
        choices=("cpu", "webgpu"),
        default="cpu",
        help="what computes; webgpu needs the package onnxruntime-ep-webgpu; default: cpu",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def _call(arguments: argparse.Namespace) -> int:
    from oriel.device.check_device import check_device
    from oriel.progress import choose_display

    with choose_display(arguments.json) as display:
        report = check_device(arguments.place, arguments.variant, arguments.provider, display)
    if arguments.json:
        print(json.dumps(report.to_json(), allow_nan=False))
        return 0 if report.passed else 1
    for found in report.variants:
        print(found.line())
    verdict = "the model's numbers" if report.passed else "NOT proven to be the model's numbers"
    print(f"{report.place} on {report.provider}, {report.runtime}: {verdict}")
    return 0 if report.passed else 1


COMMAND = Command(
    "check-device",
    "Run a bundle's stored text on this machine, and compare every activation with the stored "
    "ones; exit 1 if any is wrong.",
    _add_arguments,
    _call,
)
