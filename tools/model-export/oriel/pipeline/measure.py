"""Measurements of several files in turns, each in a process of its own, so that whatever else the
machine does meets all of them alike."""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import save_file

from oriel.contract.documents import MeasuredRecord, SpreadRecord
from oriel.errors import ModuleError
from oriel.formats.own_process import command_of, environment_with, how_it_ended
from oriel.pipeline.sizes import TimedCase

_TIMEOUT_S = 1800


@dataclass(frozen=True)
class Subject:
    """A file to time."""

    name: str
    format: str
    file: str
    cases: Sequence[TimedCase]
    paths: Sequence[Path] = ()
    """Folders of its runtime's packages."""


@dataclass(frozen=True)
class Spread:
    """The median of several rounds, with the least and the largest."""

    median: float
    least: float
    largest: float

    @staticmethod
    def of(values: Sequence[float]) -> Spread:
        return Spread(statistics.median(values), min(values), max(values))

    def to_json(self) -> SpreadRecord:
        return {"median": self.median, "least": self.least, "largest": self.largest}

    @staticmethod
    def from_json(data: SpreadRecord) -> Spread:
        return Spread(data["median"], data["least"], data["largest"])


@dataclass(frozen=True)
class Measured:
    """Everything that was measured of one subject."""

    load_s: Spread
    memory_mb: Spread
    """Highest memory of the process, above what it was before the file was opened."""
    seconds: Mapping[str, Spread]
    """{case: seconds of a call}."""

    def to_json(self) -> MeasuredRecord:
        return {
            "load_s": self.load_s.to_json(),
            "memory_mb": self.memory_mb.to_json(),
            "seconds": {name: spread.to_json() for name, spread in self.seconds.items()},
        }

    @staticmethod
    def from_json(data: MeasuredRecord) -> Measured:
        return Measured(
            Spread.from_json(data["load_s"]),
            Spread.from_json(data["memory_mb"]),
            {name: Spread.from_json(each) for name, each in data["seconds"].items()},
        )


def measure_in_turns(
    subjects: Sequence[Subject], rounds: int, on_stage: Callable[[str], None]
) -> dict[str, Measured | str]:
    """Return {name: measurements, or the reason for having none}."""
    runs: dict[str, list[_Run]] = {subject.name: [] for subject in subjects}
    failed: dict[str, str] = {}
    for turn in range(rounds):
        for subject in subjects:
            if subject.name in failed:
                continue
            on_stage(f"time {subject.name}, {turn + 1} of {rounds}")
            try:
                runs[subject.name].append(_run(subject))
            except ModuleError as error:
                failed[subject.name] = str(error)
    measured = {name: _together(found) for name, found in runs.items() if name not in failed}
    return {**measured, **failed}


@dataclass(frozen=True)
class _Run:
    load_s: float
    memory_mb: float
    seconds: Mapping[str, float]


def _run(subject: Subject) -> _Run:
    with tempfile.TemporaryDirectory(prefix="oriel-time-") as name:
        folder = Path(name).resolve()
        request = {"format": subject.format, "file": subject.file}
        (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
        for at, case in enumerate(subject.cases):
            tensors = {str(n): t.contiguous().clone() for n, t in enumerate(case.inputs)}
            save_file(tensors, folder / f"case_{at:02}.safetensors")
        done = subprocess.run(
            command_of("oriel.pipeline.measure_file", str(folder)),
            env=environment_with(subject.paths),
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
        result = folder / "result.json"
        if not result.is_file():
            said = done.stderr.decode("utf-8", "replace")
            raise ModuleError(
                f"{subject.name} can't be timed", got=how_it_ended(done.returncode, said)
            )
        found = json.loads(result.read_text(encoding="utf-8"))
    if "error" in found:
        raise ModuleError(f"{subject.name} can't be timed", got=found["error"])
    seconds = {subject.cases[int(at)].name: value for at, value in found["seconds"].items()}
    return _Run(found["load_s"], found["memory_mb"], seconds)


def _together(runs: Sequence[_Run]) -> Measured:
    return Measured(
        Spread.of([run.load_s for run in runs]),
        Spread.of([run.memory_mb for run in runs]),
        {name: Spread.of([run.seconds[name] for run in runs]) for name in runs[0].seconds},
    )
