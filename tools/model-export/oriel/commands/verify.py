"""oriel verify: checks an exported bundle against PyTorch."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from oriel.commands.command import Command, Parser
from oriel.errors import OptionError

if TYPE_CHECKING:
    from oriel.contract.documents import VerificationRecord
    from oriel.models.load_model import LoadedModel


def _add_arguments(parser: Parser) -> None:
    parser.add_argument(
        "--model",
        type=Path,
        required=True,
        metavar="PATH",
        help="a bundle's model.onnx, or its folder; all its variants are verified",
    )
    parser.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FOLDER",
        help="what it was exported from; default: the bundled or Hub model that it names",
    )
    parser.add_argument(
        "--adapter",
        type=Path,
        metavar="FOLDER",
        help="the LoRA adapter that was merged into the checkpoint",
    )
    parser.add_argument(
        "--by-layers",
        action="store_true",
        help="run each layer by itself on what PyTorch gives to it, with one layer's weights in "
        "memory; what doesn't fit this machine's memory is verified so by itself",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def _call(arguments: argparse.Namespace) -> int:
    if not arguments.model.exists():
        raise OptionError(
            "--model names nothing",
            got=str(arguments.model),
            expected="an exported model.onnx or its folder",
            next_step="export one first: export.py --output PATH.",
        )
    checkpoint = arguments.checkpoint
    if arguments.adapter is not None:
        checkpoint = _with_adapter(checkpoint, arguments.adapter)
    record = verify_bundle(arguments.model, checkpoint, arguments.json, arguments.by_layers)
    if arguments.json:
        print(json.dumps(record, allow_nan=False))
    return 0 if record["verdict"] == "passed" else 1


def _with_adapter(checkpoint: Path | None, adapter: Path) -> LoadedModel:
    if checkpoint is None:
        raise OptionError(
            "--adapter without --checkpoint",
            got=str(adapter),
            expected="the folder of the model that it was trained on",
            next_step="name it with --checkpoint.",
        )
    from oriel.models.find_checkpoint import find_checkpoint, with_adapter
    from oriel.models.load_model import load_model

    return load_model(with_adapter(find_checkpoint(str(checkpoint)), adapter))


def verify_bundle(
    graph: Path, model: LoadedModel | Path | None, quiet: bool, by_layers: bool = False
) -> VerificationRecord:
    """Verify a bundle, leave verification.json in it, and show the table unless `quiet`. by_layers:
    even if the whole fits. Raises OrielError where it can't be read or its folder can't be
    written."""
    from oriel.bundle.atomic_folder import unwritable
    from oriel.contract.manifest import VERIFICATION, bundle_folder
    from oriel.progress import choose_display
    from oriel.proof.verification_record import verification_record, write_verification
    from oriel.verification.report import print_report
    from oriel.verification.verify import verify

    with choose_display(quiet) as display:
        report = verify(graph, model, display.stage, by_layers=by_layers)
    if not quiet:
        print_report(report)
    folder = bundle_folder(graph)
    record = verification_record(report, folder)
    try:
        write_verification(record, folder / VERIFICATION)
    except OSError as error:
        raise unwritable(folder, error) from error
    return record


COMMAND = Command(
    "verify",
    "Prove an exported bundle against PyTorch; exit 1 if anything fails.",
    _add_arguments,
    _call,
)
