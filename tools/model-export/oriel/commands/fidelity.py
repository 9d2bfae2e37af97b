"""oriel fidelity: measures the distance of a bundle's variants from the float32 model."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from oriel.commands.command import Command, Parser


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="its folder or model.onnx")
    parser.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FOLDER",
        help="what it was exported from; default: the bundled or Hub model that it names",
    )
    parser.add_argument(
        "--text",
        type=Path,
        metavar="FILE",
        help="UTF-8, one passage a line; default: held-out passages of the bundled corpus",
    )
    parser.add_argument("--variants", metavar="q8,…", help="those to measure; default: all")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="draw the figures")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def _call(arguments: argparse.Namespace) -> int:
    names = None if arguments.variants is None else arguments.variants.replace(" ", "").split(",")
    from oriel.fidelity.measure_bundle import measure_bundle
    from oriel.fidelity.plot import check_plot, write_plot
    from oriel.fidelity.table import print_fidelity
    from oriel.progress import choose_display

    check_plot(arguments.plot)
    with choose_display(arguments.json) as display:
        found = measure_bundle(
            arguments.bundle, arguments.checkpoint, arguments.text, names, display.stage
        )
    if arguments.plot is not None:
        write_plot(found, arguments.plot)
    if arguments.json:
        print(json.dumps(found.to_json(), allow_nan=False))
    else:
        print_fidelity(found)
    return 0 if all(m.fidelity.within_bounds for m in found.variants) else 1


COMMAND = Command(
    "fidelity",
    "Measure how far a bundle's variants are from the fp32 model in PyTorch, and write it into the "
    "manifest; exit 1 if one is beyond its bounds.",
    _add_arguments,
    _call,
)
