"""oriel export: exports a checkpoint to an ONNX bundle."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from pathlib import Path

from oriel.commands.command import Command, Parser
from oriel.commands.quantizing_arguments import add_quantizing_arguments, read_paths
from oriel.commands.verify import verify_bundle
from oriel.contract.activation_names import selectable_kinds
from oriel.contract.documents import ManifestDocument
from oriel.errors import OptionError
from oriel.options import (
    DEFAULT_OPSET,
    NEWEST_OPSET,
    OLDEST_OPSET,
    ExportOptions,
    parse_layers,
    parse_opset,
    parse_static_cache,
    parse_words,
)
from oriel.precisions import PRECISIONS


def _add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "--model",
        metavar="NAME",
        help="Hub id, local folder, or demo; default: tools/model-export/models/gpt2 if it is "
        "there, else gpt2 from the Hub, else the bundled model",
    )
    parser.add_argument("--revision", help="the Hub's branch, tag or commit")
    parser.add_argument(
        "--adapter",
        type=Path,
        metavar="FOLDER",
        help="a LoRA adapter of PEFT's, merged into the model",
    )
    parser.add_argument("--layers", metavar="0,5,11", help="layers to give out; default: the last")
    parser.add_argument("--all-layers", action="store_true", help="give out every layer")
    parser.add_argument(
        "--activations",
        metavar="KIND,…",
        help=f"what to give out of them, some of {', '.join(selectable_kinds())}",
    )
    parser.add_argument(
        "--output",
        metavar="PATH",
        help="the plain graph; default: apps/web/static/models/<name>/model.onnx",
    )
    parser.add_argument(
        "--opset",
        default=str(DEFAULT_OPSET),
        metavar="N",
        help=f"ONNX opset, {OLDEST_OPSET} to {NEWEST_OPSET}; default: {DEFAULT_OPSET}",
    )
    parser.add_argument(
        "--static-cache",
        metavar="N",
        help="also write the open graph with a cache of N tokens, whose shapes never change: for "
        "GPUs in browsers; texts may then be that long",
    )
    parser.add_argument(
        "--precision",
        default="fp32",
        metavar="fp32,…",
        help=f"variants to write, some of {', '.join(PRECISIONS)}; fp32 always is",
    )
    add_quantizing_arguments(parser)
    parser.add_argument("--verify", action="store_true", help="prove the files against PyTorch")
    parser.add_argument(
        "--force",
        action="store_true",
        help="export even if the same bundle is there already, or another model's of that name",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def export_options(arguments: argparse.Namespace) -> ExportOptions:
    """Check the arguments as far as possible without reading any file. Raises OptionError."""
    args = dict(vars(arguments))
    if args["layers"] is not None:
        if args["all_layers"]:
            raise OptionError(
                "--layers and --all-layers exclude each other", next_step="leave one of them out."
            )
        args["layers"] = parse_layers(args["layers"])
    if args["adapter"] is not None and args["model"] is None:
        raise OptionError(
            "--adapter without --model",
            got=str(args["adapter"]),
            expected="the model that it was trained on",
            next_step="name it: its adapter_config.json says base_model_name_or_path.",
        )
    if args["activations"] is not None:
        args["activations"] = parse_words(args["activations"], "--activations", selectable_kinds())
    args["precision"] = parse_words(args["precision"], "--precision", tuple(PRECISIONS))
    read_paths(args)
    args["opset"] = parse_opset(args["opset"])
    if args["static_cache"] is not None:
        args["static_cache"] = parse_static_cache(args["static_cache"])
    if args["output"] is not None:
        if not args["output"]:
            raise OptionError("--output is empty", expected="a path such as out/model.onnx")
        args["output"] = Path(args["output"])
    return ExportOptions(**args)


def _call(arguments: argparse.Namespace) -> int:
    options = export_options(arguments)
    from oriel.export_bundle import export
    from oriel.progress import choose_display

    with choose_display(options.json) as display:
        exported = export(options, display)
    for text in exported.notices:
        _notice(text)
    result: dict[str, object] = {"output": str(exported.graph), "manifest": exported.manifest}
    if not options.json:
        print(_summary(exported.graph, exported.manifest, exported.unchanged))
    code = 0
    if options.verify:
        record = verify_bundle(exported.graph, exported.model, options.json)
        result["verification"] = record
        code = 0 if record["verdict"] == "passed" else 1
        if not options.json:
            # Printed once more: the table has scrolled them out of sight.
            for text in exported.notices:
                _notice(text)
    if options.json:
        print(json.dumps(result))
    return code


def _notice(text: str) -> None:
    # Names in a checkpoint from elsewhere must not control the terminal.
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    bar = "=" * 78
    lines = "\n".join(textwrap.wrap(text, 76))
    print(f"\n{bar}\nNOTICE\n{lines}\n{bar}\n", file=sys.stderr)


def _summary(graph: Path, manifest: ManifestDocument, unchanged: bool) -> str:
    try:
        shown = graph.relative_to(Path.cwd())
    except ValueError:
        shown = graph
    files = manifest["files"]
    total = sum(f["bytes"] for f in files)
    verb = "is up to date" if unchanged else "written"
    line = f"{shown} {verb}: {len(files)} files, {total / 1e6:.1f} MB"
    return line if "tokenizer" in manifest else f"{line}; no tokenizer: the page takes token ids"


COMMAND = Command(
    "export",
    "Export a transformer to ONNX with its activations, named by the contract.",
    _add_arguments,
    _call,
)
