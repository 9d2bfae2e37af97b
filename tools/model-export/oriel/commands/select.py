"""oriel select: chooses other outputs of a bundle's graphs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from oriel.commands.command import Command, Parser
from oriel.contract.activation_names import selectable_kinds
from oriel.options import parse_layers, parse_words


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("graph", type=Path, metavar="model.onnx")
    parser.add_argument("--layers", metavar="3,4", help="layers to give out; default: all")
    parser.add_argument(
        "--activations", metavar="KIND,…", help=f"some of {', '.join(selectable_kinds())}"
    )
    parser.add_argument("--json", action="store_true", help="print the chosen names as JSON")


def _call(arguments: argparse.Namespace) -> int:
    layers = parse_layers(arguments.layers) if arguments.layers is not None else None
    activations = None
    if arguments.activations is not None:
        activations = parse_words(arguments.activations, "--activations", selectable_kinds())
    from oriel.bundle.select_bundle import select_in_bundle

    names = select_in_bundle(arguments.graph, layers, activations)
    if arguments.json:
        print(json.dumps({"output": str(arguments.graph), "outputs": ["logits", *names]}))
    else:
        print(f"{arguments.graph} gives logits and {len(names)} activations")
    return 0


COMMAND = Command(
    "select",
    "Choose a variant's outputs anew: no export, no torch, weights untouched.",
    _add_arguments,
    _call,
)
