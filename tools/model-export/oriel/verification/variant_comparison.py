"""One variant's runs beside PyTorch's: what they are compared with, and the largest error of each
activation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from oriel.arrays import Array
from oriel.contract.activation_names import (
    LENS_KINDS,
    TensorSpec,
    all_activations,
    cache_output_specs,
    kind_of,
)
from oriel.contract.data_files import GraphKind
from oriel.contract.manifest import Manifest
from oriel.runtime.onnx_graph import Arrays
from oriel.verification.cases import Case, inner_activations
from oriel.verification.compare import (
    Difference,
    Worst,
    activation_difference,
    with_router_probs,
)
from oriel.verification.error_bounds import Bounds, of_labels
from oriel.verification.invariants import Invariants
from oriel.verification.reference_cases import ReferenceCases
from oriel.verification.report import ActivationResult, Findings, Measured, MeasuredCase, Verdict


@dataclass
class VariantComparison:
    """The measurements of one variant, which every check of its graphs adds to."""

    manifest: Manifest
    cases: ReferenceCases
    bounds: Bounds
    findings: Findings
    on_stage: Callable[[str], None]
    worst: dict[tuple[GraphKind, str], Worst] = field(default_factory=dict)
    measured: dict[tuple[GraphKind, Case], dict[str, Measured]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.shape = self.manifest.shape
        self.inner = inner_activations(self.shape)
        self.lens = [s for s in all_activations(self.shape) if s.name.endswith(LENS_KINDS)]
        self.cache = cache_output_specs(self.shape)
        self.longest = self.cases.cases[-1]

    def compare_with_reference(
        self, graph: GraphKind, case: Case, specs: Sequence[TensorSpec], got: Arrays
    ) -> None:
        """Compare outputs with PyTorch's, and check what must hold among them."""
        want = self.cases.values(case, with_router_probs([s.name for s in specs]))
        self.check_values(graph, case, specs, got)
        for spec in specs:
            if spec.name not in got:
                continue
            found = activation_difference(spec.name, got[spec.name], want, self.shape)
            self.add(graph, spec.name, found, case)
            if spec.name == "logits":
                bound = self._of_logits(self.bounds.relative("logits"), found)
                self.findings.measure(
                    "logits_relative", self.bounds.error(found), bound, f"{graph}, {case}"
                )
        Invariants(self.shape, self.bounds, self.findings).check(graph, case, got)

    def add(self, graph: GraphKind, name: str, found: Difference, case: Case) -> None:
        """Record how far an activation is from PyTorch's."""
        error, bound = self.bounds.activation(kind_of(name), found)
        if name == "logits" and self.bounds.by_norm:
            bound = self._of_logits(bound, found)
        self.worst.setdefault((graph, name), Worst()).add(found, error, bound, str(case))
        spec = self._spec(name)
        measure = self.bounds.measure(kind_of(name))
        row = Measured(found, error, bound, measure, case.sizes(spec), spec.dtype)
        self.measured.setdefault((graph, case), {})[name] = row

    def _of_logits(self, bound: float, found: Difference) -> float:
        return of_labels(bound, found.scale) if self.shape.labels else bound

    def _spec(self, name: str) -> TensorSpec:
        return next(spec for spec in (*self.inner, *self.lens) if spec.name == name)

    def measured_cases(self) -> list[MeasuredCase]:
        """Return what was measured of each graph, case by case."""
        return [
            MeasuredCase(graph, case, self.cases.ids[case], rows)
            for (graph, case), rows in self.measured.items()
        ]

    def check_values(
        self, graph: GraphKind, case: Case, specs: Sequence[TensorSpec], got: Arrays
    ) -> None:
        """Check dtype and size of the outputs, and that all values are finite."""
        wrong = [
            f"{graph} {s.name} is {got[s.name].dtype} {list(got[s.name].shape)} at {case}"
            for s in specs
            if s.name in got
            and (got[s.name].shape != case.sizes(s) or got[s.name].dtype != s.dtype)
        ]
        self.findings.differences("shapes", wrong, "as the contract says, in every case")
        infinite = [
            f"{graph} {s.name} at {case}"
            for s in specs
            if s.name in got and not bool(np.isfinite(got[s.name]).all())
        ]
        self.findings.differences("finite", infinite, "every value, in every case")

    def measure_all(
        self, check: str, got: Arrays, want: Mapping[str, Array], bound: float, where: str
    ) -> None:
        """Record the largest error of all tensors that are in both, as one check."""
        shared = [name for name in got if name in want]
        if not shared:
            self.findings.failed(check, f"nothing to compare at {where}")
        for name in shared:
            found = activation_difference(name, got[name], want, self.shape)
            error = self.bounds.error(found)
            self.findings.measure(check, error, bound, f"{name}, {where}")

    def results(self, plain: Sequence[TensorSpec], cached: GraphKind) -> list[ActivationResult]:
        """Return a row for each output of the plain graph and each activation of the contract."""
        rows = [self._result("plain", spec) for spec in plain]
        return rows + [self._result(cached, s) for s in all_activations(self.shape)]

    def _result(self, graph: GraphKind, spec: TensorSpec) -> ActivationResult:
        worst = self.worst.get((graph, spec.name))
        if worst is None:
            # If the graph ran, a missing output is a failure; if not, one check says so.
            run = self.findings.checks.get(f"{graph}_runs")
            ran = run is not None and run.verdict == "passed"
            absent: Verdict = "failed" if ran else "not run"
            return ActivationResult(spec.name, graph, spec.shape, spec.dtype, absent)
        verdict: Verdict = "passed" if worst.within else "failed"
        return ActivationResult(
            spec.name,
            graph,
            spec.shape,
            spec.dtype,
            verdict,
            worst.error,
            worst.difference.absolute,
            worst.bound,
            worst.where,
        )
