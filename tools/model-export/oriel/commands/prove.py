"""oriel prove: compares two artifacts of a model, of any kind."""

from __future__ import annotations

import argparse
from pathlib import Path

from oriel.commands.argument_types import positive_number
from oriel.commands.command import Command, Parser
from oriel.errors import OptionError


def _add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "artifacts",
        nargs="*",
        metavar="A B",
        help="the reference, and what is held to it; each a checkpoint's folder, Hub id or `demo`, "
        "a bundle's folder or FOLDER:VARIANT, an exported file, a file of weights, or "
        "path/to/spec.py:NAME",
    )
    parser.add_argument(
        "--inputs",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help="a .safetensors or .npz file of inputs by name, a case each; default: made for the "
        "two",
    )
    parser.add_argument(
        "--max-error",
        type=positive_number,
        metavar="X",
        help="largest relative error allowed; default: that of the precision",
    )
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the record there")
    parser.add_argument(
        "--rerun",
        type=Path,
        metavar="RECORD",
        help="compare again what a record names, on its inputs; A B say where they are now. Of a "
        "bundle: verification.json:VARIANT or verification.json:VARIANT:GRAPH",
    )
    parser.add_argument("--json", action="store_true", help="print the record as JSON")


def _call(arguments: argparse.Namespace) -> int:
    from oriel.progress import choose_display
    from oriel.proof.check_record import read_record, record_text, write_record
    from oriel.proof.print_record import print_record
    from oriel.proof.prove import ProofOptions, prove, prove_again
    from oriel.proof.verification_record import proof_in

    places = tuple(arguments.artifacts)
    if len(places) != 2 and (places or arguments.rerun is None):
        raise OptionError(
            "two artifacts are compared",
            got=f"{len(places)}",
            expected="A and B, or --rerun RECORD",
            next_step="see oriel prove --help.",
        )
    if arguments.rerun is not None and (arguments.inputs or arguments.max_error is not None):
        raise OptionError(
            "a record has inputs and bounds of its own",
            got="--rerun with --inputs or --max-error",
            expected="--rerun alone",
        )
    with choose_display(arguments.json) as display:
        if arguments.rerun is not None:
            named = (places[0], places[1]) if places else None
            earlier = proof_in(str(arguments.rerun))
            if earlier is not None and named is None:
                raise OptionError(
                    "a bundle's verification doesn't say where things lie",
                    got=str(arguments.rerun),
                    expected="the checkpoint and FOLDER:VARIANT before --rerun",
                )
            record = prove_again(earlier or read_record(arguments.rerun), named, display.stage)
        else:
            options = ProofOptions(arguments.max_error, tuple(arguments.inputs))
            record = prove(places[0], places[1], options, display.stage)
    if arguments.output is not None:
        write_record(record, arguments.output)
    if arguments.json:
        print(record_text(record), end="")
    else:
        print_record(record)
    return 1 if record["verdict"] == "apart" else 0


COMMAND = Command(
    "prove",
    "Compare two artifacts of one model, of any kind: checkpoint, bundle, exported file. Exit 1 if "
    "they are apart.",
    _add_arguments,
    _call,
)
