"""The steps that both exporters share: build, load strictly, adapt, compare with the detector
itself, write and verify."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from oriel.checkpoints.load_strictly import load_strictly
from oriel.checkpoints.read_checkpoint import read_checkpoint
from oriel.errors import ModuleError
from oriel.modules.call import CallArguments
from oriel.modules.export_module import ModuleExportReport, check_output_folder, run_export
from oriel.modules.export_request import ExportRequest, LoadedCheckpoint
from refined.adapters import DYNAMIC, adapter_for, largest_difference
from refined.data_loader import load_detector, two_batches

_BOUND = 1e-6
"""Largest difference of an adapter to its detector, over an output's largest value. The adapters'
own is 0: they write the same numbers to the same places."""


@dataclass(frozen=True)
class Choices:
    """What is exported, and where to."""

    config: str
    output: Path
    formats: tuple[str, ...]
    checkpoint: Path | None = None
    """None for random weights."""
    points: Path | None = None
    """A point cloud; None for random ones."""


def export_and_report(choices: Choices, verbose: bool = True) -> int:
    """Export a detector, print what came of it, and return the exit code: 1 where a format failed.
    verbose: print each step too."""
    report = export_detector(choices, _say if verbose else lambda _: None)
    print("\n".join(report_lines(report)))
    return 0 if report.passed else 1


def _say(text: str) -> None:
    print(text, flush=True)


def export_detector(choices: Choices, say: Callable[[str], None]) -> ModuleExportReport:
    """Export a detector. say: gets each step. Raises OrielError for what can't be exported at
    all, and then writes nothing."""
    check_output_folder(choices.output)
    say(f"build {choices.config}")
    detector = load_detector(choices.config)
    loaded = None
    if choices.checkpoint is not None:
        say(f"load {choices.checkpoint}")
        loaded = load_trained(detector.model, choices.checkpoint)
    example, second = two_batches(detector, choices.points)
    adapter = adapter_for(detector.model, example)
    inputs = example.read_by_network()
    found = largest_difference(adapter, inputs)
    say(f"{type(adapter).__name__}: largest difference to the detector itself {found:.1e}")
    if not found <= _BOUND:
        raise ModuleError(
            f"the adapter {type(adapter).__name__} isn't the detector",
            got=f"a difference of {found:.1e}",
            expected=f"at most {_BOUND:.0e} of an output's largest value",
        )
    request = ExportRequest(
        adapter,
        CallArguments((inputs,)),
        choices.formats,
        choices.output,
        DYNAMIC,
        second=CallArguments((second.read_by_network(),)),
        config={"file": detector.config.name, "model": detector.settings},
        load=None if loaded is None else lambda _: loaded,
    )
    return run_export(request, say)


def load_trained(model: nn.Module, file: Path) -> LoadedCheckpoint:
    """Load a checkpoint that MMEngine wrote, strictly and without running code of it. Raises
    CheckpointError for one of another model."""
    held = read_checkpoint(file)
    load_strictly(model, held.tensors)
    foreign = tuple(f"{each.place} ({each.name})" for each in held.foreign)
    return LoadedCheckpoint(file, foreign=foreign)


def report_lines(report: ModuleExportReport) -> list[str]:
    """Return a line for each note and each format."""
    lines = list(report.metadata["notes"])
    for file in report.files:
        if file.file is None:
            lines.append(f"{file.format}: failed: {file.error}")
            continue
        errors = [output.relative or 0.0 for case in file.cases for output in case.outputs]
        lines.append(
            f"{file.file}: {file.way}, {file.bytes:,} bytes, "
            f"{len(file.cases[0].outputs)} outputs, at most {max(errors):.1e} of an output's "
            f"largest value off, verified on {' and '.join(case.name for case in file.cases)}"
        )
    return lines
