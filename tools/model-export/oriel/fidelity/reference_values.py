"""The float32 model's logits and activations of every passage, computed once and kept on disk:
variants are compared with them one after another, with one model's weights in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from oriel.arrays import Array, logits_rows
from oriel.bundle.passages import Passages
from oriel.contract.activation_names import TensorSpec
from oriel.fidelity.run_variant import VariantRun

Arrays = dict[str, Array]
Ids = npt.NDArray[np.int64]
ReferenceKind = Literal["pytorch", "trunk"]


class ReferenceModel(Protocol):
    """The float32 model, whatever runs it."""

    @property
    def kind(self) -> ReferenceKind:
        """The kind that the manifest records."""

    def logits(self, ids: Ids) -> Array:
        """Return (1, seq, vocab) for ids (1, seq)."""

    def activations(self, ids: Ids, names: Sequence[str]) -> Arrays:
        """Return activations of ids (1, seq), by contract name."""


class TrunkReference:
    """The bundle's fp32 graph in ONNX Runtime, for use without PyTorch."""

    kind: ReferenceKind = "trunk"

    def __init__(self, open_trunk: Callable[[Sequence[str]], VariantRun]) -> None:
        """open_trunk: opens the graph with the named activations tapped."""
        self._open_trunk = open_trunk
        self._run: VariantRun | None = None
        self._tapped: tuple[str, ...] = ()

    def opened(self, names: Sequence[str] = ()) -> VariantRun:
        """Return the graph with just these taps; one opened with others is closed."""
        if self._run is None or self._tapped != tuple(names):
            self.close()
            self._run, self._tapped = self._open_trunk(names), tuple(names)
        return self._run

    def close(self) -> None:
        """Release the weights; the next run reads them again."""
        self._run = None

    def logits(self, ids: Ids) -> Array:
        """Return (1, seq, vocab) for ids (1, seq)."""
        return self.opened().run(ids, ["logits"])["logits"]

    def activations(self, ids: Ids, names: Sequence[str]) -> Arrays:
        """Return activations of ids (1, seq), by contract name."""
        return self.opened(names).run(ids, names)


@dataclass(frozen=True)
class ReferenceValues:
    """Logits of all passages, and activations of the first of them."""

    kind: ReferenceKind
    passages: Passages
    specs: dict[str, TensorSpec]
    """Specs of the activations, by name."""
    with_activations: int
    """Number of passages that have activations, from the first on."""
    folder: Path

    def ids(self, passage: int) -> Ids:
        """Return a passage's ids, (1, seq)."""
        return self.passages.ids[passage][None]

    def logits(self, passage: int) -> npt.NDArray[np.float32]:
        """Return a passage's logits, (seq, vocab), or (1, labels) where they are of whole texts."""
        loaded: npt.NDArray[np.float32] = np.load(self.folder / f"{passage}.npy")
        first: npt.NDArray[np.float32] = logits_rows(loaded)[0]
        return first

    def activations(self, passage: int) -> Arrays:
        with np.load(self.folder / f"{passage}.npz") as loaded:
            return {name: loaded[name] for name in self.specs}


def observe(
    model: ReferenceModel,
    passages: Passages,
    specs: Sequence[TensorSpec],
    numbers: int,
    folder: Path,
) -> ReferenceValues:
    """Run the model over the passages. At most `numbers` activation values are kept, but those of
    the first passage always."""
    names = [spec.name for spec in specs]
    for index, ids in enumerate(passages.ids):
        np.save(folder / f"{index}.npy", model.logits(ids[None]))
    count, kept = 0, 0
    for index, ids in enumerate(passages.ids if specs else ()):
        kept += sum(size_of(spec, len(ids)) for spec in specs)
        if index > 0 and kept > numbers:
            break
        np.savez(folder / f"{index}.npz", **model.activations(ids[None], names))  # type: ignore[arg-type]
        count += 1
    known = {spec.name: spec for spec in specs}
    return ReferenceValues(model.kind, passages, known, count, folder)


def size_of(spec: TensorSpec, length: int) -> int:
    """Return the count of values in an activation of one passage of this length."""
    return prod(spec.sizes(1, length))
