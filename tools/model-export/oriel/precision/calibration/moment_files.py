"""Second moments in temporary files, read when a weight is encoded."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from oriel.precision.rounding.gptq import Moment


class MomentFiles(Mapping[str, tuple[Moment, ...]]):
    """Moments by the name of their tensor. The files are removed with the object."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="oriel-moments-")
        self._places: dict[str, list[tuple[int, Path]]] = {}

    def put(self, name: str, parts: tuple[Moment, ...]) -> None:
        """Write the moments of a tensor."""
        places = self._places[name] = []
        for part in parts:
            # Numbered: names of tensors come from the graph.
            number = f"{len(self._places)}-{len(places)}.npy"
            places.append((part.start, Path(self._folder.name) / number))
            np.save(places[-1][1], part.matrix)

    def __getitem__(self, name: str) -> tuple[Moment, ...]:
        return tuple(Moment(start, np.load(file)) for start, file in self._places[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
