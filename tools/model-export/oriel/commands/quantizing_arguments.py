"""Arguments on how variants are made, common to `oriel export` and `oriel quantize`."""

from __future__ import annotations

import argparse
from pathlib import Path

from oriel.errors import OptionError
from oriel.precisions import CALIBRATION_METHODS


def add_quantizing_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the fields of oriel.options.Quantizing."""
    parser.add_argument(
        "--recipe",
        metavar="FILE",
        help="which weights are encoded how, for q8, q4 and what computes on them; default: the "
        "bundled recipes",
    )
    parser.add_argument(
        "--calibration",
        metavar="FILE",
        help="UTF-8, one passage a line; default: training passages of the bundled corpus",
    )
    parser.add_argument(
        "--calibration-method",
        default=CALIBRATION_METHODS[0],
        choices=CALIBRATION_METHODS,
        help=f"how int8_static's ranges are drawn; default: {CALIBRATION_METHODS[0]}",
    )
    parser.add_argument(
        "--allow-lossy",
        action="store_true",
        help="write variants beyond their bounds of fidelity too; the manifest says which",
    )


def read_paths(args: dict[str, object]) -> None:
    """Turn the names of files into paths, in place. Raises OptionError for an empty one."""
    for name in ("recipe", "calibration"):
        if args[name] == "":
            raise OptionError(f"--{name} is empty", expected="a file", next_step="name one.")
        args[name] = None if args[name] is None else Path(str(args[name]))
