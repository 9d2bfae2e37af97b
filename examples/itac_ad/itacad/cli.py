"""The command `itacad`: train, export."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from oriel.commands.command import Parser
from oriel.commands.run_command import run_command
from oriel.errors import OptionError

ENOUGH = 0.9
"""The AUROC below which a training counts as failed."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    return run_command(lambda: _call(argv))


def _call(argv: Sequence[str] | None) -> int:
    parser = Parser(prog="itacad", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, parser_class=Parser)
    train = commands.add_parser("train", help="train on generated signals, and measure")
    train.add_argument("--out", type=Path, required=True)
    train.add_argument("--encoder", default="itr")
    train.add_argument("--decoder", default="mlp")
    train.add_argument("--epochs", type=int, default=8)
    export = commands.add_parser("export", help="write TorchScript, PT2 or ONNX, and compare it")
    export.add_argument("--ckpt", type=Path, required=True, help="a training's folder")
    export.add_argument("--format", choices=("ts", "pt2", "onnx"), required=True)
    export.add_argument("--out", type=Path, required=True)
    for command in (train, export):
        command.add_argument("--L", type=int, default=16, help="steps of time in a window")
        command.add_argument("--D", type=int, default=8, help="features")
    arguments = parser.parse_args(argv)
    if arguments.L < 4 or arguments.D < 1:
        raise OptionError(
            "windows are too small",
            got=f"L={arguments.L}, D={arguments.D}",
            expected="at least 4 steps and 1 feature",
        )
    return _train(arguments) if arguments.command == "train" else _export(arguments)


def _train(arguments: argparse.Namespace) -> int:
    from itacad.model.detector import Config
    from itacad.training import train

    config = Config(arguments.encoder, arguments.decoder, arguments.L, arguments.D)
    report = train(config, arguments.out, arguments.epochs)
    for name, value in report.items():
        print(f"{name}: {value:.3f}")
    if report["auroc"] < ENOUGH:
        print(f"the score tells too little: below {ENOUGH}", file=sys.stderr)
        return 1
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from itacad.export import export_as

    sizes = (arguments.L, arguments.D)
    print(export_as(arguments.format, arguments.ckpt, sizes, arguments.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
