"""oriel convert: exports any PyTorch module that a spec file describes."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from oriel.commands.command import Command, Parser
from oriel.errors import OptionError


def _add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "specs",
        nargs="+",
        metavar="path/to/spec.py:NAME",
        help="a spec, a file with all its specs, or a folder of such files; or a model of "
        "transformers: a Hub id, a folder with its config.json, or demo, the bundled model",
    )
    parser.add_argument(
        "--checkpoint",
        action="append",
        type=Path,
        metavar="FILE",
        help="trained tensors; for several specs once for each, in their order",
    )
    parser.add_argument(
        "--format",
        default="pt2",
        metavar="ts,pt2,onnx",
        help="formats to write, of ts, pt2, onnx, aotinductor, openvino, executorch, litert and "
        "iree, or all whose packages are here; default: pt2",
    )
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of the files; with several specs, a folder for each in it",
    )
    parser.add_argument(
        "--opset", type=int, metavar="N", help="of the ONNX file, read back from it"
    )
    parser.add_argument(
        "--simplify",
        action="store_true",
        help="put the ONNX file that onnxslim makes of it in its place, where that is no larger "
        "and gives the same",
    )
    parser.add_argument(
        "--precision",
        default="fp32",
        metavar="fp32,int8,int8_static",
        help="of an encoder's ONNX files: int8 rounds activations by their range in each run, "
        "int8_static by ranges found on text; default: fp32, which is always written",
    )
    parser.add_argument(
        "--unsafe-pickle",
        action="store_true",
        help="run the code that a checkpoint's pickle holds: only for a file that you made",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _call(arguments: argparse.Namespace) -> int:
    from oriel.formats import check_formats, check_opset
    from oriel.modules.convert import ConvertOptions, convert_all, output_folders
    from oriel.modules.convert_report import conversions_to_json, print_conversions
    from oriel.modules.library_folder import SUFFIXES
    from oriel.modules.named_model import is_model, model_spec
    from oriel.modules.spec import read_specs
    from oriel.options import parse_words
    from oriel.progress import choose_display

    formats = tuple(name.strip() for name in arguments.format.split(","))
    check_formats(formats)
    check_opset(arguments.opset)
    with choose_display(arguments.json) as display:
        specs = []
        for place in arguments.specs:
            specs += [model_spec(place, display)] if is_model(place) else read_specs(place)
    checkpoints: list[Path | None] = list(arguments.checkpoint or [None] * len(specs))
    if len(checkpoints) != len(specs):
        raise OptionError(
            "--checkpoint doesn't go with the specs",
            got=f"{len(checkpoints)} for {len(specs)} specs",
            expected="one for each, in their order, or none",
            next_step="name the file in each spec as checkpoint=….",
        )
    options = ConvertOptions(
        formats,
        arguments.output,
        arguments.opset,
        arguments.unsafe_pickle,
        arguments.simplify,
        parse_words(arguments.precision, "--precision", tuple(SUFFIXES)),
    )
    folders = output_folders(specs, arguments.output)
    with choose_display(arguments.json) as display:
        pairs = list(zip(specs, checkpoints, strict=True))
        done = convert_all(pairs, options, display.stage, folders)
    if len(done) == 1 and done[0].error is not None:
        raise done[0].error
    if arguments.json:
        print(json.dumps(conversions_to_json(done), allow_nan=False))
    else:
        print_conversions(done)
    return max(conversion.exit_code for conversion in done)


COMMAND = Command(
    "convert",
    "Export any PyTorch module with nested inputs to TorchScript, PT2, ONNX and more, each proven "
    "in a fresh process; exit 1 if a format fails.",
    _add_arguments,
    _call,
)
