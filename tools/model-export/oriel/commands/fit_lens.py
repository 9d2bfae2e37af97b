"""oriel fit-lens: fits a lens pack to text."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from oriel.commands.argument_types import seed, small_count
from oriel.commands.command import Command, Parser

if TYPE_CHECKING:
    from oriel.contract.documents import LensDescription


def _add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "--model",
        default="demo",
        help="a Hub id, a folder, or demo for the bundled one, the default",
    )
    parser.add_argument("--revision", metavar="COMMIT", help="of the Hub's model")
    parser.add_argument(
        "--kind",
        choices=("tuned", "jacobian"),
        default="tuned",
        help="tuned: affine maps, fitted; jacobian: mean derivatives of the last stream",
    )
    parser.add_argument(
        "--text",
        type=Path,
        metavar="FILE",
        help="UTF-8, one passage a line, of which every tenth is held out; default: the bundled "
        "corpus",
    )
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="the pack; default: KIND.safetensors"
    )
    parser.add_argument(
        "--bundle", type=Path, metavar="BUNDLE", help="put it into this bundle as well"
    )
    parser.add_argument("--tokens", type=small_count, help="most tokens to fit to")
    parser.add_argument("--steps", type=small_count, help="of the optimizer, for each layer")
    parser.add_argument("--seed", type=seed, default=0, help="of the tokens that steps draw")
    parser.add_argument("--json", action="store_true", help="print the description as JSON")


def _call(arguments: argparse.Namespace) -> int:
    from oriel.lens_fitting.make_pack import FitOptions, make_pack
    from oriel.progress import choose_display

    output = arguments.output or Path(f"{arguments.kind}.safetensors")
    options = FitOptions(
        model=arguments.model,
        revision=arguments.revision,
        kind=arguments.kind,
        text=arguments.text,
        output=output,
        bundle=arguments.bundle,
        tokens=arguments.tokens,
        steps=arguments.steps,
        seed=arguments.seed,
    )
    with choose_display(arguments.json) as display:
        found = make_pack(options, display)
    if arguments.json:
        print(json.dumps({"output": str(output), **found}))
    else:
        _show(found, output, arguments.bundle)
    return 0


def _show(found: LensDescription, output: Path, bundle: Path | None) -> None:
    print(f"KL from the model in nats, on {found['fitted']['held_out']['tokens']} other tokens:")
    print(f"{'layer':>5}  {'logit':>8}  {found['kind']:>8}")
    for row in found["fitted"]["kl"]:
        print(f"{row['layer']:>5}  {row['logit']:>8.4f}  {row['lens']:>8.4f}")
    print(str(output) if bundle is None else f"{output}, and in {bundle}")


COMMAND = Command(
    "fit-lens",
    "Fit a tuned lens, or average Jacobians, and write them as a lens pack.",
    _add_arguments,
    _call,
)
