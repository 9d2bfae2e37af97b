"""An unfinished run beside the folder that it is to fill: which run it is, and what it counted of
whole shards. A run that is started again goes on from there."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from oriel.bundle.atomic_folder import unwritable, write_files_whole
from oriel.dashboards.partial import Partial, Sizes
from oriel.dashboards.ranges import Ranges
from oriel.errors import BundleError, OptionError

_RUN, _RANGES, _STATE = "run.json", "ranges.npz", "state.npz"


@dataclass(frozen=True)
class Unfinished:
    """The folder of an unfinished run."""

    folder: Path
    run: dict[str, object]
    """What the run is of: another one can't go on with its results."""
    sizes: Sizes

    @staticmethod
    def beside(out: Path, run: dict[str, object], sizes: Sizes) -> Unfinished:
        """Return the place of the run that fills `out`. Raises OptionError where another run's
        results are there."""
        made = Unfinished(out.with_name(f"{out.name}.unfinished"), run, sizes)
        file = made.folder / _RUN
        if file.is_file():
            try:
                found = json.loads(file.read_bytes())
            except ValueError:
                found = None
            if found != run:
                raise OptionError(
                    f"{made.folder} is of an unfinished run of other arguments or files",
                    got=_first_difference(found, run),
                    next_step="give the same ones to go on with it, or remove the folder.",
                )
        return made

    def read(self) -> tuple[Ranges, Partial] | None:
        """Return what was counted, with the ranges that it was counted by; None where nothing was.
        Raises BundleError for files that are damaged."""
        if not (self.folder / _STATE).is_file():
            return None
        state = Partial.from_bytes((self.folder / _STATE).read_bytes(), self.sizes)
        try:
            with np.load(io.BytesIO((self.folder / _RANGES).read_bytes())) as stored:
                ranges = Ranges(**{name: stored[name] for name in Ranges.__annotations__})
        except Exception as error:
            raise BundleError(
                f"{self.folder} is damaged", got=str(error)[:100], next_step="remove it."
            ) from error
        return ranges, state

    def begin(self, ranges: Ranges) -> None:
        """Write what the run is of. Raises BundleError where there is no room for it."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(self.folder, error) from error
        out = io.BytesIO()
        np.savez(out, allow_pickle=False, **vars(ranges))
        run = json.dumps(self.run, indent=1).encode()
        write_files_whole({self.folder / _RANGES: out.getvalue(), self.folder / _RUN: run})

    def save(self, state: bytes) -> None:
        """Replace what was counted by the bytes of a newer result. Raises BundleError, and leaves
        what was there, where there is no room."""
        write_files_whole({self.folder / _STATE: state})

    @contextmanager
    def dropped_if_empty(self) -> Iterator[None]:
        """Remove the folder where the block fails or is stopped before a whole shard was counted,
        so that it doesn't stand in the way of a run of other arguments."""
        try:
            yield
        except BaseException:
            if not (self.folder / _STATE).is_file():
                self.remove()
            raise

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def _first_difference(found: object, wanted: dict[str, object]) -> str:
    given = found if isinstance(found, dict) else {}
    for key, value in wanted.items():
        if given.get(key) != value:
            return f"{key} {str(given.get(key))[:60]} instead of {str(value)[:60]}"
    return "a file that can't be read"
