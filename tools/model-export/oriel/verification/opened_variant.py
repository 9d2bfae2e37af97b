"""A variant's files as its graphs read them: where they travel encoded, expanded into a temporary
folder."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from oriel.contract.documents import Variant
from oriel.contract.variant_graphs import graphs_of
from oriel.precision.weights.expand_weights import expand_weights
from oriel.verification.report import Findings


@dataclass(frozen=True)
class OpenedVariant:
    """The folder that holds the graphs together with the data files that they name."""

    folder: Path
    locations: Sequence[str]
    """Data files that the graphs may name."""
    expanded: Path | None = None
    """The float32 file, where weights travel encoded."""


@contextmanager
def opened_variant(folder: Path, variant: Variant, findings: Findings) -> Iterator[OpenedVariant]:
    """Open a variant's files; expanded ones are removed afterwards. A failure is a finding."""
    expansion = variant.get("expansion")
    if expansion is None:
        yield OpenedVariant(folder, variant["weights"])
        return
    with tempfile.TemporaryDirectory(prefix="oriel-verify-") as name:
        place = Path(name)
        target = place / expansion["path"]
        target.parent.mkdir(parents=True, exist_ok=True)
        with findings.guarded("expansion"):
            expand_weights(folder / variant["weights"][0], expansion, target)
            findings.passed("expansion", f"{expansion['bytes']} bytes, with the manifest's digest")
        for record in graphs_of(variant).values():
            graph = place / record["path"]
            graph.parent.mkdir(parents=True, exist_ok=True)
            if (folder / record["path"]).is_file():
                shutil.copyfile(folder / record["path"], graph)
        yield OpenedVariant(place, [expansion["path"]], target)
