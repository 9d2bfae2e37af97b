"""oriel dashboards: makes dashboards of a model's units over a corpus."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from oriel.commands.argument_types import positive_count
from oriel.commands.command import Command, Parser


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="its folder or model.onnx")
    parser.add_argument(
        "--corpus",
        nargs="+",
        default=[],
        metavar="FILES",
        help="text (.txt, passages between blank lines), JSON Lines, Parquet, folders of them and "
        "folders that Hugging Face datasets saved, here or in s3://, gs:// or az://; default: the "
        "bundled model's own generator",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="the folder that is written whole"
    )
    parser.add_argument(
        "--kinds",
        default="mlp_act,attn_z,resid_post",
        help="kinds of unit, separated by commas; default: %(default)s; features: those of the "
        "bundle's dictionaries, which fire wherever they are above 0",
    )
    parser.add_argument("--tokens", type=positive_count, metavar="N", help="tokens to read at most")
    parser.add_argument(
        "--ray", metavar="ADDRESS", help="workers of Ray: local, or host:port of a cluster"
    )
    parser.add_argument(
        "--workers",
        type=positive_count,
        metavar="N",
        help="of Ray; default: one for each GPU, or each core where there is none",
    )
    parser.add_argument("--variant", help="of the bundle; default: fp32")
    parser.add_argument("--endpoint", metavar="URL", help="of an S3-compatible store")
    parser.add_argument(
        "--threads",
        type=positive_count,
        metavar="N",
        help="processor cores to use, in each worker of Ray; default: all",
    )
    parser.add_argument("--json", action="store_true", help="print the record as JSON")


def _call(arguments: argparse.Namespace) -> int:
    from oriel.dashboards.make_set import DashboardOptions, make_set
    from oriel.dashboards.units import KINDS
    from oriel.options import parse_words
    from oriel.progress import choose_display

    options = DashboardOptions(
        bundle=arguments.bundle,
        corpus=tuple(arguments.corpus),
        out=arguments.out,
        kinds=parse_words(arguments.kinds, "--kinds", KINDS),
        tokens=arguments.tokens,
        variant=arguments.variant,
        endpoint=arguments.endpoint,
        threads=arguments.threads or 0,
        ray=arguments.ray,
        workers=arguments.workers,
    )
    with choose_display(arguments.json) as display:
        record = make_set(options, display)
    if arguments.json:
        print(json.dumps({"out": str(arguments.out), **record}))
    else:
        units = sum(group["units"] for group in record["groups"])
        corpus = record["corpus"]
        print(f"{arguments.out}: {units} units over {corpus['tokens']} tokens of {corpus['name']}")
    return 0


COMMAND = Command(
    "dashboards",
    "Show what excites each neuron, head, coordinate and feature of a model over a corpus.",
    _add_arguments,
    _call,
)
