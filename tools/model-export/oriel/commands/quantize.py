"""oriel quantize: makes smaller variants of an exported bundle."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from oriel.commands.command import Command, Parser
from oriel.commands.quantizing_arguments import add_quantizing_arguments, read_paths
from oriel.options import QuantizeOptions, parse_words
from oriel.precisions import FP32, PRECISIONS


def _add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "graph", type=Path, metavar="model.onnx", help="a bundle's float32 graph, or its folder"
    )
    others = tuple(name for name in PRECISIONS if name != FP32.name)
    parser.add_argument(
        "--precision", required=True, metavar="q8,…", help=f"some of {', '.join(others)}"
    )
    add_quantizing_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _call(arguments: argparse.Namespace) -> int:
    args = dict(vars(arguments))
    args["precision"] = parse_words(args["precision"], "--precision", tuple(PRECISIONS))
    read_paths(args)
    options = QuantizeOptions(**args)
    from oriel.progress import choose_display
    from oriel.quantize_bundle import quantize

    with choose_display(options.json) as display:
        quantized = quantize(options, display)
    if options.json:
        result = {"output": str(quantized.graph), "made": quantized.made}
        print(json.dumps(result | {"manifest": quantized.manifest}))
    else:
        for line in quantized.lines():
            print(line)
    return 0


COMMAND = Command(
    "quantize",
    "Make smaller variants of an exported bundle: no checkpoint, no torch.",
    _add_arguments,
    _call,
)
