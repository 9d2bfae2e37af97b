"""oriel convert: exports any PyTorch module that a spec file describes."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from oriel.commands.command import Command, Parser
from oriel.errors import OptionError
from oriel.formats import known_names
from oriel.resting_collector import uncollected


def _add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "specs",
        nargs="+",
        metavar="path/to/spec.py:NAME",
        help="a spec, a file with all its specs, or a folder of such files; or a model of "
        "transformers: a Hub id, a folder with its config.json, or demo, the bundled model; for "
        "safetensors alone also a checkpoint, a model's folder, or a folder of either",
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
        help=f"formats to write, of {known_names()} whose packages are here; default: pt2",
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
        help="of the files of a model of transformers: of ONNX int8 rounds activations by their "
        "range in each run, int8_static by ranges found on text; of OpenVINO int8 compresses the "
        "weights; default: fp32, which is always written",
    )
    parser.add_argument(
        "--max-shard-size",
        metavar="SIZE",
        help="of the files that a checkpoint is converted to, such as 5GB; default: 50GB",
    )
    parser.add_argument(
        "--unsafe-pickle",
        action="store_true",
        help="run the code that a checkpoint's pickle holds: only for a file that you made",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def _call(arguments: argparse.Namespace) -> int:
    from oriel.formats import check_formats, check_opset, format_names
    from oriel.options import parse_words
    from oriel.progress import choose_display

    with uncollected():
        from oriel.modules.convert import ConvertOptions, convert_all, output_folders
        from oriel.modules.convert_report import conversions_to_json, print_conversions
        from oriel.modules.library_folder import SUFFIXES
        from oriel.modules.named_model import is_model, model_spec
        from oriel.modules.spec import read_specs

    formats = format_names(arguments.format)
    check_formats(formats)
    check_opset(arguments.opset)
    if _are_checkpoints(arguments, formats):
        return _convert_checkpoints(arguments)
    # A model's own code is imported with its spec.
    with choose_display(arguments.json) as display, uncollected():
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


def _are_checkpoints(arguments: argparse.Namespace, formats: tuple[str, ...]) -> bool:
    """Return whether tensors are to be converted without their model's code. Raises OptionError for
    what goes with one of the two alone."""
    from oriel.modules.checkpoint_sources import SUFFIXES, is_checkpoint

    found = [place for place in arguments.specs if is_checkpoint(place)]
    files = [place for place in found if Path(place).suffix in SUFFIXES]
    if files and formats != ("safetensors",):
        raise OptionError(
            f"{Path(files[0]).name} holds tensors, and no model",
            got=f"--format {arguments.format}",
            expected="--format safetensors",
            next_step="for other formats name a spec that builds the model, and the file with "
            "--checkpoint.",
        )
    alone = bool(found) and formats == ("safetensors",)
    if alone and len(found) < len(arguments.specs):
        other = next(place for place in arguments.specs if place not in found)
        raise OptionError("a checkpoint and a spec stand in one call", got=other)
    if alone and (arguments.checkpoint or arguments.opset is not None):
        raise OptionError(
            "an option of specs stands beside a checkpoint",
            got="--checkpoint" if arguments.checkpoint else "--opset",
            expected="the checkpoint alone",
        )
    if not alone and arguments.max_shard_size is not None:
        raise OptionError(
            "--max-shard-size is for checkpoints",
            got="a spec",
            expected="a checkpoint, with --format safetensors",
        )
    return alone


def _convert_checkpoints(arguments: argparse.Namespace) -> int:
    from oriel.modules.checkpoint_sources import checkpoint_sources
    from oriel.modules.convert_checkpoint import (
        DEFAULT_SHARD,
        convert_checkpoints,
        result_lines,
        results_to_json,
        shard_bytes,
    )
    from oriel.progress import choose_display

    max_shard = shard_bytes(arguments.max_shard_size or DEFAULT_SHARD)
    sources = checkpoint_sources(arguments.specs)
    with choose_display(arguments.json) as display:
        done = convert_checkpoints(
            sources, arguments.output, max_shard, arguments.unsafe_pickle, display.stage
        )
    if len(done) == 1 and done[0].error is not None:
        raise done[0].error
    if arguments.json:
        print(json.dumps(results_to_json(done), allow_nan=False))
    else:
        print("\n".join(result_lines(done)))
    return max(0 if each.error is None else each.error.exit_code for each in done)


COMMAND = Command(
    "convert",
    "Export any PyTorch module with nested inputs to TorchScript, PT2, ONNX and more, each proven "
    "in a fresh process; exit 1 if a format fails.",
    _add_arguments,
    _call,
)
