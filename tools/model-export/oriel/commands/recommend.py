"""oriel recommend: names a format and a precision for a target, and says why."""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path

from oriel.commands.argument_types import positive_number
from oriel.commands.command import Command, Parser

_UNITS = {"": 1.0, "K": 1e3, "M": 1e6, "B": 1e9}


def _add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "--target",
        required=True,
        metavar="NAME",
        help="browser-webgpu, browser-wasm, cpu, nvidia, ios, android or edge",
    )
    parser.add_argument(
        "--max-mb", type=positive_number, metavar="N", help="largest size of the file"
    )
    parser.add_argument(
        "--max-error", type=positive_number, metavar="X", help="largest relative error of an output"
    )
    parser.add_argument(
        "--for",
        dest="models",
        choices=("decoders", "encoders"),
        help="the kind of model; default: either",
    )
    parser.add_argument(
        "--parameters", type=_count, metavar="N", help="of the model, such as 124M, for --max-mb"
    )
    parser.add_argument(
        "--measured",
        type=Path,
        metavar="FILE",
        help="a pipeline.json: its measurements decide, in place of the table",
    )
    parser.add_argument("--json", action="store_true", help="print the choice as JSON")


def _count(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([KMB]?)", text.upper())
    if found is None:
        raise argparse.ArgumentTypeError(f"expected a number such as 124M, got {text}")
    return float(found[1]) * _UNITS[found[2]]


def _call(arguments: argparse.Namespace) -> int:
    from oriel.errors import OptionError
    from oriel.pipeline.write_results import read_rows
    from oriel.recommend.recommend import Wish, recommend

    file: Path | None = arguments.measured
    if file is not None and not file.is_file():
        raise OptionError(
            "there is no such file",
            got=str(file),
            expected="the pipeline.json that oriel pipeline wrote",
        )
    wish = Wish(
        arguments.target,
        arguments.max_mb,
        arguments.max_error,
        arguments.models,
        arguments.parameters,
    )
    advice = recommend(wish, read_rows(file) if file is not None else ())
    if arguments.json:
        choice = advice.choice
        print(
            json.dumps(
                {
                    "format": None if choice is None else choice.format,
                    "precision": None if choice is None else choice.precision,
                    "command": None if choice is None else choice.command,
                    "reasons": advice.reasons,
                    "left": advice.left,
                }
            )
        )
    else:
        if advice.choice is None:
            print(f"nothing for {wish.target} keeps these limits")
        else:
            print(f"{advice.choice.name}: {'; '.join(advice.reasons)}")
            print(f"  {advice.choice.command}")
        for each in advice.left:
            print(f"- not {each}")
    return 0 if advice.choice is not None else 1


COMMAND = Command(
    "recommend",
    "Name a format and a precision for a target, with the reasons; exit 1 where nothing keeps the "
    "limits.",
    _add_arguments,
    _call,
)
