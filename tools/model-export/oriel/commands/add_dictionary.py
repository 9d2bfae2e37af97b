"""oriel add-dictionary: puts a sparse autoencoder or a transcoder into a bundle."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from oriel.commands.command import Command, Parser


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="its folder or model.onnx")
    parser.add_argument(
        "dictionary",
        type=Path,
        metavar="FILE_OR_FOLDER",
        help="a file of oriel train-dictionary, a folder of SAELens, or a file or a folder of "
        "Gemma Scope",
    )
    parser.add_argument(
        "--name", help="its name in the bundle; default: kind and layer, such as resid_pre_8"
    )
    parser.add_argument(
        "--reads",
        metavar="KIND:LAYER",
        help="what it reads, such as resid_post:12; for files that don't say it",
    )
    parser.add_argument(
        "--centered",
        action="store_true",
        help="it was trained on a stream without its mean (center_writing_weights of "
        "TransformerLens), and doesn't say so",
    )
    parser.add_argument("--json", action="store_true", help="print its name and record as JSON")


def _call(arguments: argparse.Namespace) -> int:
    from oriel.dictionary_layouts.add_layout import add_layout
    from oriel.dictionary_layouts.hook_names import read_activation

    reads = None if arguments.reads is None else read_activation("--reads", arguments.reads)
    added = add_layout(
        arguments.bundle, arguments.dictionary, arguments.name, reads, arguments.centered
    )
    if arguments.json:
        said = {
            "bundle": str(arguments.bundle),
            "dictionary": added.name,
            "description": added.description,
            "dashboards_removed": added.dashboards_removed,
        }
        print(json.dumps(said))
        return 0
    read, features = added.description["reads"], int(added.description["features"])
    print(
        f"{arguments.bundle} has the dictionary {added.name}: {features} features "
        f"of {read['kind']}, layer {int(read['layer'])}"
    )
    if added.dashboards_removed:
        print(
            f"its dashboards were removed: they had features of the former {added.name}. "
            "Make them again: oriel dashboards."
        )
    return 0


COMMAND = Command(
    "add-dictionary",
    "Add a sparse autoencoder or a transcoder to a bundle.",
    _add_arguments,
    _call,
)
