"""The rows of a pipeline's table, and their document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from oriel.contract.documents import PipelineProof, PipelineRowRecord
from oriel.pipeline.measure import Measured

Verdict = Literal["reference", "verified", "measured", "not verified", "failed"]


@dataclass(frozen=True)
class PipelineRow:
    """One file of the model, or the module itself."""

    format: str
    precision: str
    way: str | None = None
    """The way in which the file was written."""
    file: str | None = None
    """Path below the pipeline's folder; None where there is none."""
    bytes: int | None = None
    proof: PipelineProof | None = None
    """The output that is farthest from the module's; None where the file wasn't run."""
    verdict: Verdict = "failed"
    reason: str | None = None
    """Reason of a failure, or of not having been verified."""
    fixed_sizes: bool = False
    nodes: int | None = None
    """Nodes of an ONNX graph, as written."""
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

    @property
    def relative(self) -> float | None:
        """Return the largest relative error of an output; None where the file wasn't run."""
        return None if self.proof is None else self.proof["output"]["relative"]

    @property
    def norm_ratio(self) -> float | None:
        """Return the ratio of norms of that output."""
        return None if self.proof is None else self.proof["output"]["norm_ratio"]

    def to_json(self) -> PipelineRowRecord:
        return {
            "format": self.format,
            "precision": self.precision,
            "way": self.way,
            "file": self.file,
            "bytes": self.bytes,
            "verdict": self.verdict,
            "reason": self.reason,
            "fixed_sizes": self.fixed_sizes,
            "proof": self.proof,
            "nodes": self.nodes,
            "optimized_nodes": self.optimized_nodes,
            "fused": dict(self.fused),
            "measured": None if self.measured is None else self.measured.to_json(),
            "untimed": self.untimed,
        }

    @staticmethod
    def from_json(data: PipelineRowRecord) -> PipelineRow:
        measured = data["measured"]
        return PipelineRow(
            format=data["format"],
            precision=data["precision"],
            way=data["way"],
            file=data["file"],
            bytes=data["bytes"],
            proof=data["proof"],
            verdict=data["verdict"],
            reason=data["reason"],
            fixed_sizes=data["fixed_sizes"],
            nodes=data["nodes"],
            optimized_nodes=data["optimized_nodes"],
            fused=data["fused"],
            measured=None if measured is None else Measured.from_json(measured),
            untimed=data["untimed"],
        )


def case_names(rows: Sequence[PipelineRow]) -> list[str]:
    """Return the names of all timed cases, in their order."""
    names: dict[str, None] = {}
    for row in rows:
        if row.measured is not None:
            names |= dict.fromkeys(row.measured.seconds)
    return list(names)
