"""Choosing a variant, and the folders in which its graphs find their weights: the bundle's
own, or, where they travel encoded and readers expand them, a temporary one."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from oriel.contract.documents import Variant
from oriel.errors import OptionError
from oriel.graph.taps import Tap
from oriel.precision.weights.expand_weights import expand_weights
from oriel.precisions import FP32


@dataclass
class WeightFolders:
    """Folders of the data files that the graphs of a variant read."""

    bundle: Path
    scratch: Path
    """A temporary folder; the caller removes it."""
    expanded: dict[tuple[str, str], Path] = field(default_factory=dict)

    def of(self, variant: Variant) -> Path:
        """Return the bundle's own folder, or one with the variant's weights expanded."""
        expansion = variant.get("expansion")
        if expansion is None:
            return self.bundle
        (weights,) = variant["weights"]
        key = (weights, expansion["digest"])
        if key not in self.expanded:
            # One at a time: each is as large as the float32 weights.
            for folder in self.expanded.values():
                shutil.rmtree(folder, ignore_errors=True)
            self.expanded.clear()
            folder = Path(tempfile.mkdtemp(dir=self.scratch))
            target = folder / expansion["path"]
            target.parent.mkdir(parents=True, exist_ok=True)
            expand_weights(self.bundle / weights, expansion, target)
            self.expanded[key] = folder
        return self.expanded[key]


def choose_variant(
    variants: Sequence[Variant], name: str | None, place: str | None = None
) -> Variant:
    """Return the variant of a name; without one fp32, or the first. Raises OptionError, which says
    the place that the user gave, where there is none of the name."""
    named = {str(variant["name"]): variant for variant in variants}
    if name is None:
        return named.get(FP32.name, variants[0])
    if name not in named:
        known = f"one of {', '.join(named)}"
        raise OptionError("the bundle has no such variant", got=place or name, expected=known)
    return named[name]


def taps_for(variant: Variant, names: Collection[str]) -> list[Tap]:
    """Return the variant's taps that give any of these names."""
    wanted = set(names)
    taps = [Tap.from_json(tap) for tap in variant["taps"]]
    return [tap for tap in taps if wanted & {spec.name for spec in tap.outputs}]
