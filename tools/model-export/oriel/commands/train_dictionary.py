"""oriel train-dictionary: trains a sparse autoencoder or a transcoder."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from oriel.commands.argument_types import seed, small_count
from oriel.commands.command import Command, Parser

if TYPE_CHECKING:
    from oriel.contract.documents import DictionaryDescription


def _add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "model", metavar="MODEL", help="a bundle's folder, a Hub id, a checkpoint's folder, or demo"
    )
    parser.add_argument("--revision", metavar="COMMIT", help="of the Hub's model")
    parser.add_argument(
        "--reads",
        required=True,
        metavar="KIND:LAYER",
        help="activation that it reads: resid_pre, resid_mid, resid_post, attn_output, attn_z, "
        "mlp_act or mlp_output, and a layer from 0",
    )
    parser.add_argument(
        "--writes",
        metavar="KIND:LAYER",
        help="activation that it rebuilds, for a transcoder; default: the one that it reads",
    )
    parser.add_argument("--features", type=small_count, help="default: 4 times the rebuilt width")
    parser.add_argument(
        "--k",
        type=small_count,
        default=16,
        help="features active in a token on average; default: 16",
    )
    parser.add_argument(
        "--text",
        type=Path,
        metavar="FILE",
        help="UTF-8, one passage a line, of which every tenth is held out; default: text of the "
        "bundled model's kind",
    )
    parser.add_argument(
        "--tokens", type=small_count, help="most tokens to train on; default: 200,000"
    )
    parser.add_argument(
        "--steps", type=small_count, default=2500, help="of the optimizer; default: 2500"
    )
    parser.add_argument("--seed", type=seed, default=0, help="of the first values and the order")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the dictionary")
    parser.add_argument("--json", action="store_true", help="print the description as JSON")


def _call(arguments: argparse.Namespace) -> int:
    from oriel.dictionary_training.make_dictionary import DictionaryOptions, make_dictionary
    from oriel.progress import choose_display

    given = {name: value for name, value in vars(arguments).items() if name != "json"}
    with choose_display(arguments.json) as display:
        found = make_dictionary(DictionaryOptions(**given), display)
    if arguments.json:
        print(json.dumps({"out": str(arguments.out), **found}))
    else:
        _show(found, arguments.out)
    return 0


def _show(found: DictionaryDescription, out: Path) -> None:
    measured = found["measured"]
    loss = measured["loss"]
    print(f"On {measured['text']['tokens']} other tokens:")
    print(f"{'explained variance':<20} {measured['explained_variance']:>8.4f}")
    print(f"{'loss recovered':<20} {measured['loss_recovered']:>8.4f}", end="  ")
    print(
        f"({loss['model']:.4f} nats, replaced {loss['replaced']:.4f}, zeroed {loss['zeroed']:.4f})"
    )
    print(f"{'active features':<20} {measured['l0']:>8.2f}  of {found['features']}")
    print(f"{'dead features':<20} {measured['dead_features']:>8}")
    print(out)


COMMAND = Command(
    "train-dictionary",
    "Train a sparse autoencoder, or a transcoder, on activations of a model.",
    _add_arguments,
    _call,
)
