"""The rows of a pipeline's table, and their document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from oriel.contract.json_value import JsonObject
from oriel.pipeline.measure import Measured


@dataclass(frozen=True)
class PipelineRow:
    """One file of the model, or the module itself."""

    format: str
    precision: str
    way: str | None = None
    """How the file was written."""
    file: str | None = None
    """Path below the pipeline's folder; None where there is none."""
    bytes: int | None = None
    relative: float | None = None
    """Largest relative error of an output against the module; None where it wasn't run."""
    norm_ratio: float | None = None
    """Ratio of norms of that output."""
    verdict: str = "failed"
    """verified, measured, not verified, or failed."""
    reason: str | None = None
    """Of a failure, or of not having been verified."""
    fixed_sizes: bool = False
    nodes: int | None = None
    """Of an ONNX graph, as written."""
    optimized_nodes: int | None = None
    """The same after ONNX Runtime's optimisation."""
    fused: Mapping[str, int] = field(default_factory=dict)
    """{operator: nodes} that the optimisation made."""
    measured: Measured | None = None
    untimed: str | None = None
    """The reason for having no times."""

    @property
    def name(self) -> str:
        return self.format if self.precision == "fp32" else f"{self.format} {self.precision}"

    def to_json(self) -> JsonObject:
        row: JsonObject = asdict(self)
        return row


def case_names(rows: Sequence[PipelineRow]) -> list[str]:
    """Return the names of all timed cases, in their order."""
    names: dict[str, None] = {}
    for row in rows:
        if row.measured is not None:
            names |= dict.fromkeys(row.measured.seconds)
    return list(names)
