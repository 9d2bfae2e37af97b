"""The contract's rules that hold within one file, whatever its weights: rows of attention sum to 1,
the mask is kept, and the residual stream is the sum of its parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from oriel.arrays import Array
from oriel.contract.activation_names import ModelShape, kinds
from oriel.contract.data_files import GraphKind
from oriel.runtime.onnx_graph import Arrays
from oriel.verification.cases import Case
from oriel.verification.compare import difference, visible
from oriel.verification.error_bounds import Bounds
from oriel.verification.report import Findings

MASKED_SCORE = np.finfo(np.float32).min
"""The value of a masked score by the contract."""


@dataclass(frozen=True)
class Invariants:
    """The rules for a model of this shape."""

    shape: ModelShape
    bounds: Bounds
    findings: Findings

    def check(self, graph: GraphKind, case: Case, got: Arrays) -> None:
        """Check every rule whose tensors are all there."""
        where = f"{graph} layer {{}}, {case}"
        for layer in range(self.shape.layers):
            here = {k: got[kind.at(layer)] for k, kind in kinds().items() if kind.at(layer) in got}
            self._attention_rules(here, self.shape.at(layer), where.format(layer))
            for total, parts in self._sums().items():
                self._sum_rule(total, parts, here, where.format(layer))
        first = kinds()["resid_pre"].at(0)
        if "embedding_sum" in got and first in got:
            found = difference(got["embedding_sum"], got[first])
            bound = self.bounds.of("embedding_sum")
            self.findings.measure("embedding_sum", found.relative, bound, f"{graph}, {case}")

    def _sums(self) -> Mapping[str, tuple[str, ...]]:
        """Return what each state of the residual stream is the sum of; of none where it is normed,
        which the comparison with PyTorch covers."""
        if self.shape.post_norm:
            return {}
        if not kinds()["resid_mid"].present_in(self.shape):
            return {"resid_post": ("resid_pre", "attn_output", "mlp_output")}
        return {
            "resid_mid": ("resid_pre", "attn_output"),
            "resid_post": ("resid_mid", "mlp_output"),
        }

    def _attention_rules(self, here: Mapping[str, Array], sizes: ModelShape, where: str) -> None:
        probs, scores = here.get("attn_probs"), here.get("attn_scores")
        if probs is not None and probs.ndim == 4:
            seq, total = probs.shape[-2:]
            allowed = visible(seq, total, sizes)
            rows = np.abs(probs.sum(axis=-1, dtype=np.float64) - 1)
            bound = self.bounds.of("attention_rows")
            self.findings.measure("attention_rows", _peak(rows), bound, where)
            above = np.where(allowed, 0, np.abs(probs))
            self.findings.measure("causal_mask", _peak(above), 0.0, where)
            outside = np.maximum(np.maximum(-probs, probs - 1), 0)
            self.findings.measure("attention_range", _peak(outside), bound, where)
        if scores is not None and scores.ndim == 4:
            seq, total = scores.shape[-2:]
            seen = visible(seq, total, sizes)
            masked = np.where(seen, MASKED_SCORE, scores)
            wrong = int(np.count_nonzero(masked != MASKED_SCORE))
            self.findings.measure("masked_scores", float(wrong), 0.0, where)

    def _sum_rule(
        self, total: str, parts: Sequence[str], here: Mapping[str, Array], where: str
    ) -> None:
        if all(kind in here for kind in (total, *parts)):
            found = difference(here[total], np.add.reduce([here[kind] for kind in parts]))
            bound = self.bounds.of(f"{total}_sum")
            self.findings.measure(f"{total}_sum", found.relative, bound, where)


def _peak(values: Array) -> float:
    peak = float(values.max(initial=0))
    return peak if np.isfinite(peak) else float("inf")
