"""The report of `oriel split`: keys, parameters, bytes, and what was saved, as text and as JSON."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from oriel.checkpoints.plain_data import ForeignObject
from oriel.contract.json_value import JsonObject, JsonValue
from oriel.splitting.components import Component
from oriel.splitting.normalization import Statistics


@dataclass(frozen=True)
class WrittenFile:
    """A file that a split wrote."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class WrittenComponent:
    """A network and its two files, safetensors first."""

    component: Component
    files: tuple[WrittenFile, ...]

    @property
    def name(self) -> str:
        """Return the network's name in file names."""
        return self.component.name


@dataclass(frozen=True, kw_only=True)
class SplitReport:
    """Everything that a split found and wrote."""

    checkpoint: Path
    checkpoint_bytes: int
    keys: int
    """Number of the model's tensors in the checkpoint."""
    output_dir: Path
    written: tuple[WrittenComponent, ...]
    left_out: tuple[Component, ...]
    other_tensors: int
    """Number of tensors of an optimizer and the like, which are never written."""
    other_bytes: int
    foreign: tuple[ForeignObject, ...]
    normalization: str | None
    """The place where the statistics were found."""
    statistics: Statistics | None
    needs_network: bool

    @property
    def saved(self) -> float:
        """Return the share of the checkpoint's bytes that whoever takes the safetensors files
        saves."""
        kept = sum(component.files[0].bytes for component in self.written)
        return 1 - kept / self.checkpoint_bytes

    def to_json(self) -> JsonObject:
        """Return the report as it stands in model_config.json and on --json."""
        files = [file for component in self.written for file in component.files]
        foreign: list[JsonValue] = [
            {"place": f.place, "class": f.name, "read": f.read} for f in self.foreign
        ]
        return {
            "components": {written.name: _counts(written.component) for written in self.written},
            "left_out": {component.name: _counts(component) for component in self.left_out},
            "files": {file.name: {"bytes": file.bytes, "sha256": file.sha256} for file in files},
            "training_state": {"tensors": self.other_tensors, "bytes": self.other_bytes},
            "foreign_objects": foreign,
            # The name alone: a folder is handed on, and paths are the machine's.
            "normalization_found_in": self.normalization and Path(self.normalization).name,
            "saved_share": round(self.saved, 6),
        }


def parameters_of(component: Component) -> int:
    """Return the number of trained values: of floating-point tensors that aren't a norm's running
    statistics."""
    return sum(
        tensor.numel()
        for name, tensor in component.tensors.items()
        if tensor.is_floating_point() and not re.search(r"(?:^|\.)running_(?:mean|var)$", name)
    )


def _counts(component: Component) -> JsonObject:
    return {
        "role": component.role,
        "prefix": component.prefix,
        "tensors": len(component.tensors),
        "parameters": parameters_of(component),
        "bytes": component.bytes,
    }


def report_lines(report: SplitReport) -> list[str]:
    """Return the report for a terminal."""
    lines = [
        f"{report.checkpoint.name}: {report.keys} tensors of the model, "
        f"{report.checkpoint_bytes:,} bytes"
    ]
    width = max(len(c.name) for c in (*(w.component for w in report.written), *report.left_out))
    for written in report.written:
        sizes = ", ".join(f"{file.name} {file.bytes:,} bytes" for file in written.files)
        lines.append(f"  {_line(written.component, width)} → {sizes}")
    for component in report.left_out:
        lines.append(f"  {_line(component, width)} left out, {component.bytes:,} bytes")
    if report.other_tensors:
        lines.append(
            f"  {report.other_tensors} tensors of training's own state left out, "
            f"{report.other_bytes:,} bytes"
        )
    if report.foreign:
        kinds = sorted({foreign.name for foreign in report.foreign})
        unread = [foreign.place for foreign in report.foreign if not foreign.read]
        lines.append(
            f"  {len(report.foreign)} objects were read without running their code: "
            + ", ".join(kinds)
            + (f"; without a value: {', '.join(unread)}" if unread else "")
        )
    if report.normalization is not None:
        lines.append(f"  means and deviations: {report.normalization}")
    lines.append(f"{report.output_dir}: {report.saved:.1%} of the checkpoint's bytes saved")
    # Names in a file could steer a terminal.
    return [
        "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
        for line in lines
    ]


def warning_lines(report: SplitReport) -> list[str]:
    """Return what the user should act on."""
    lines = []
    if report.normalization is None:
        lines.append(
            "warning: no means and deviations of the two domains were found in the checkpoint, "
            "beside it or one folder up; the example takes features as normalised. Pass "
            '--normalization FILE with {"A": {"mean": […], "std": […]}, "B": {…}}, computed from '
            "the training data."
        )
    if report.needs_network:
        lines.append(
            "warning: inference_example.py needs the generator's class, which no checkpoint holds, "
            "and model_config.json wasn't tried with it. Pass --network FILE.py:CLASS."
        )
    return lines


def _line(component: Component, width: int) -> str:
    return (
        f"{component.name:<{width}}  {component.role}, {len(component.tensors)} tensors, "
        f"{parameters_of(component):,} parameters"
    )
