"""Choosing a variant, and the folders in which its graphs find their weights: the bundle's
own, or, where they travel encoded and readers expand them, a temporary one."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from oriel.bundle.reuse_files import reuse_files
from oriel.contract.documents import (
    DictionaryRecord,
    LensPackRecord,
    ManifestDocument,
    Variant,
)
from oriel.contract.lens_packs import LOGIT
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

    def of(self, variant: Variant, beside: Collection[str] = ()) -> Path:
        """Return the bundle's own folder, or a folder with the variant's weights expanded. beside:
        other files of the bundle that the graph reads."""
        folder = self._of(variant)
        if folder != self.bundle:
            reuse_files(self.bundle, folder, [n for n in beside if not (folder / n).exists()])
        return folder

    def _of(self, variant: Variant) -> Path:
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


def choose_lens(manifest: ManifestDocument, name: str | None) -> LensPackRecord | None:
    """Return the lens pack of this name; None for the logit lens, the default. Raises OptionError
    if the bundle has no such lens."""
    packs = {pack["name"]: pack for pack in manifest.get("lens_packs", ())}
    if name is None or name == LOGIT:
        return None
    if name not in packs:
        raise OptionError(
            "the bundle has no such lens",
            got=str(name)[:80],
            expected=f"one of {', '.join([LOGIT, *packs])}",
            next_step="fit one: oriel fit-lens --bundle.",
        )
    return packs[name]


def taps_for(
    variant: Variant,
    names: Collection[str],
    lens: LensPackRecord | None = None,
    dictionaries: Iterable[DictionaryRecord] = (),
) -> list[Tap]:
    """Return the taps that give these names: the lens pack's taps if a pack is given and has them,
    otherwise the variant's own; and those of dictionaries whose features are among the names."""
    wanted = set(names)
    mapped = [] if lens is None else [Tap.from_json(t) for t in lens["taps"][variant["name"]]]
    given = {spec.name for tap in mapped for spec in tap.outputs}
    own = [Tap.from_json(tap) for tap in variant["taps"]]
    taps = [*(tap for tap in own if not given & {spec.name for spec in tap.outputs}), *mapped]
    taps += [Tap.from_json(each["taps"][variant["name"]]) for each in dictionaries]
    return [tap for tap in taps if wanted & {spec.name for spec in tap.outputs}]
