"""Search for checkpoints that need no spec: a file, a folder of transformers, or a folder of
either."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from oriel.errors import CheckpointError, OptionError
from oriel.models.weight_files import PICKLE, SAFETENSORS, weight_files

SUFFIXES = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")
_BESIDE = ("*.json", "*.txt", "*.model", "*.jinja", "README.md", "LICENSE*")
"""Files of a model's folder that belong to any form of its weights."""


@dataclass(frozen=True)
class CheckpointSource:
    """One model's tensors, and the files that go with them."""

    name: str
    files: tuple[Path, ...]
    """One, or the shards."""
    folder: Path | None
    """The model's own folder, whose other files are copied; None for a file by itself."""

    def files_beside(self) -> list[Path]:
        """Return the folder's files that stay as they are: the config, the tokenizer."""
        if self.folder is None:
            return []
        found = {file for pattern in _BESIDE for file in self.folder.glob(pattern)}
        return sorted(f for f in found if f.is_file() and not f.name.endswith(".index.json"))


def is_checkpoint(place: str) -> bool:
    """Return whether a place holds tensors and no spec."""
    path = Path(place)
    return path.suffix in SUFFIXES if path.is_file() else next(_found_in(path), None) is not None


def checkpoint_sources(places: Sequence[str]) -> list[CheckpointSource]:
    """Return every model of these places. Raises CheckpointError for a place without any, and
    OptionError where two have one name."""
    sources = [source for place in places for source in _sources_of(Path(place))]
    names = [source.name for source in sources]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise OptionError(
            "two models have one name",
            got=twice,
            expected="names that differ: each gets a folder",
            next_step="rename one, or convert them in two calls.",
        )
    return sources


def _sources_of(path: Path) -> list[CheckpointSource]:
    if path.is_file():
        return [CheckpointSource(path.stem, (path,), None)]
    found = list(_found_in(path))
    if not found:
        raise CheckpointError(
            f"there is no checkpoint in {path}" if path.is_dir() else f"there is no {path}",
            expected=f"a file that ends in {', '.join(SUFFIXES)}, or a folder with some",
        )
    return found


def _found_in(path: Path) -> Iterator[CheckpointSource]:
    """Yield the folder's own model, or else those in it."""
    if not path.is_dir():
        return
    if _has_model(path):
        yield CheckpointSource(path.resolve().name, tuple(weight_files(path)), path)
        return
    for inner in sorted(path.iterdir()):
        if inner.is_dir() and _has_model(inner):
            yield CheckpointSource(inner.name, tuple(weight_files(inner)), inner)
        elif inner.is_file() and inner.suffix in SUFFIXES:
            yield CheckpointSource(inner.stem, (inner,), None)


def _has_model(folder: Path) -> bool:
    names = (SAFETENSORS, PICKLE)
    return any((folder / f"{n}{end}").is_file() for n in names for end in ("", ".index.json"))
