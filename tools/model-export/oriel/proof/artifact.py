"""The parts that every artifact of a comparison has: a place, inputs and outputs by name, and a way
to run them."""

from __future__ import annotations

import os
import platform
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal

from torch import Tensor

from oriel.contract.documents import ProofArtifact, ProofFile
from oriel.formats.packages import package_version
from oriel.modules.written_files import digest

Kind = Literal["bundle", "checkpoint", "file", "module", "tensors"]
Tensors = Mapping[str, Tensor]
"""Inputs or outputs by name."""


@dataclass(frozen=True)
class Port:
    """An input or an output."""

    name: str
    dtype: str
    """torch's name of it."""
    shape: tuple[int | str, ...]
    """A dynamic size is a name."""
    range: tuple[float, float] | None = None
    """Least and largest value of an input that the model takes, where that is known."""


@dataclass(frozen=True)
class OwnCase:
    """An input that an artifact brings itself: the example of a spec, say."""

    name: str
    inputs: Tensors


class Artifact(ABC):
    """One of two artifacts to compare. Making one reads no more than its description."""

    place: str
    kind: Kind
    inputs: Sequence[Port]
    outputs: Sequence[Port]
    """In the order in which the model computes them."""
    vocabulary: int | None = None
    longest: int | None = None
    """Tokens that it reads at most, where that is known."""
    precision: str | None = None
    """None where nothing says."""
    format: str | None = None
    """Format of a file."""
    variant: str | None = None
    """Variant of a bundle."""
    runtime: str
    """The program that runs it, as people call it."""
    provider: str | None = None
    """The part of the runtime that computes, where there are several."""

    @abstractmethod
    def run(self, calls: Sequence[Tensors], wanted: Sequence[str]) -> list[dict[str, Tensor]]:
        """Return the wanted outputs of each call. Raises OrielError where it can't be run."""

    @abstractmethod
    def files(self) -> tuple[Path, Sequence[Path]]:
        """Return a folder, and every file that is read, which the record names as seen from it."""

    @abstractmethod
    def versions(self) -> dict[str, str]:
        """Return the versions of the packages that run it."""

    def record(self) -> ProofArtifact:
        """Return its entry in the record, with its files hashed as they are now."""
        return {
            "place": self.place,
            "kind": self.kind,
            "format": self.format,
            "variant": self.variant,
            "precision": self.precision,
            "files": file_records(*self.files()),
            "runtime": self.runtime,
            "provider": self.provider,
            "device": processor(),
            "versions": self.versions(),
        }

    @property
    def text(self) -> Sequence[int]:
        """Token ids that the model expects to read, where it knows some."""
        return ()

    def own_cases(self) -> Sequence[OwnCase]:
        """Return inputs that it brings itself, where it has any."""
        return ()


def file_records(folder: Path, files: Sequence[Path]) -> list[ProofFile]:
    """Return name, size and digest of files, their names as seen from a folder."""
    return [
        {
            "path": Path(os.path.relpath(file, folder)).as_posix(),
            "bytes": (said := file.stat()).st_size,
            "sha256": _digest(file, said.st_size, said.st_ctime_ns),
        }
        for file in files
    ]


@lru_cache(maxsize=256)
def _digest(file: Path, size: int, changed: int) -> str:
    """Hash a file once as long as its size and the time of its last change stay: every graph of
    every variant names the same checkpoint."""
    return digest(file)


def versions_of(distributions: Sequence[str], paths: Sequence[Path] = ()) -> dict[str, str]:
    """Return the versions of those of these packages that are here."""
    found = {name: package_version(name, paths) for name in distributions}
    return {name: version for name, version in found.items() if version is not None}


@cache
def processor() -> str:
    """Return the name of this machine's processor."""
    described = Path("/proc/cpuinfo")
    if described.is_file():
        for line in described.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return f"cpu: {line.partition(':')[2].strip()}"
    return f"cpu: {platform.processor() or platform.machine()}"
