"""Compares the values that a variant's graphs compute with PyTorch's and with each other. Static
checks are in checks.py; the bounds are in bounds.json."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx

from oriel.contract.activation_names import (
    LENS_KINDS,
    TensorSpec,
    all_activations,
    cache_output_specs,
    kinds,
    parse_name,
    present_name,
)
from oriel.contract.manifest import Manifest
from oriel.graph.select_outputs import open_graph, select_outputs
from oriel.graph.taps import Tap
from oriel.verification.cases import (
    Case,
    choose_cases,
    choose_ids,
    choose_lens_layers,
    outputs_within_budget,
)
from oriel.verification.checks import GraphFile, check_session_ports
from oriel.verification.compare import (
    Array,
    Difference,
    Worst,
    causal,
    difference,
    lens_difference,
)
from oriel.verification.error_bounds import Bounds
from oriel.verification.interventions import NONE, Interventions
from oriel.verification.product_checks import CHECK, check_products, products, with_products
from oriel.verification.report import ActivationResult, Findings, GraphName, Verdict
from oriel.verification.run_onnx import (
    Arrays,
    OnnxGraph,
    past_from,
    with_outputs_only,
    with_taps,
)
from oriel.verification.run_reference import Reference

SEED = 20
MASKED_SCORE = np.finfo(np.float32).min
"""The value of a masked score by the contract."""
_BY_SECOND_PASS = ("q", "k", "v", "attn_scores")
"""Kinds that the reference records in a separate pass; not needed twice for interventions."""


class ReferenceCases:
    """Token ids of each case and PyTorch's values for them; computed once for all variants."""

    def __init__(self, reference: Reference, text: Sequence[int], budget: int) -> None:
        self.reference, self.budget = reference, budget
        self.ids = choose_ids(choose_cases(reference.shape, budget), reference.shape, text, SEED)
        self.known: dict[Case, Arrays] = {}

    @property
    def cases(self) -> list[Case]:
        """In the order of choose_cases: the longest is last."""
        return list(self.ids)

    @property
    def small(self) -> Case:
        """More than one sequence of more than one token, where the model can read as many."""
        return max(self.cases[:-1] or self.cases, key=lambda c: (min(c.batch, 2), c.seq))

    def values(self, case: Case, names: Iterable[str]) -> Arrays:
        known = self.known.setdefault(case, {})
        missing = [name for name in names if name not in known]
        if missing:
            known |= self.reference.run(self.ids[case], missing)
        return known


@dataclass
class NumericChecks:
    """One variant's runs."""

    manifest: Manifest
    cases: ReferenceCases
    bounds: Bounds
    findings: Findings
    on_stage: Callable[[str], None]
    worst: dict[tuple[GraphName, str], Worst] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.shape = self.manifest.shape
        specs = all_activations(self.shape)
        self.lens = [s for s in specs if s.name.endswith(LENS_KINDS)]
        self.inner = [s for s in specs if not s.name.endswith(LENS_KINDS)]
        self.cache = cache_output_specs(self.shape)
        self.longest = self.cases.cases[-1]

    def run(self, plain: GraphFile | None, interactive: GraphFile | None, taps: list[Tap]) -> None:
        """Check everything, one graph after the other: only one holds its weights in memory."""
        small: Arrays = {}
        if plain is not None:
            with self.findings.guarded("plain_runs"):
                small = self._plain(plain)
                self.findings.passed("plain_runs", self._sizes())
            with self.findings.guarded("plain_select"):
                self._plain_select(plain)
        if interactive is not None:
            with self.findings.guarded("interactive_runs"):
                self._interactive(interactive, taps, small)
                self.findings.passed("interactive_runs", self._sizes())
            with self.findings.guarded("longest_sequence"):
                self._longest(interactive, taps)
            with self.findings.guarded("lens_runs"):
                self._lens(interactive, taps)
                self.findings.passed("lens_runs")

    def _sizes(self) -> str:
        return f"batch×seq {', '.join(map(str, self.cases.cases))}"

    # The plain graph.

    def _plain(self, graph: GraphFile) -> Arrays:
        """Check every output, in every case. Return those of the small case."""
        self.on_stage("run the plain graph")
        session = OnnxGraph(graph.folder, graph.data, "plain", self.shape)
        check_session_ports(graph, self.manifest, session, self.findings)
        outputs = [s for s in graph.outputs if not s.name.endswith(LENS_KINDS)]
        lens = {s.name for s in graph.outputs} - {s.name for s in outputs}
        small: Arrays = {}
        for case in self.cases.cases:
            chosen = outputs_within_budget(outputs, case, self.shape, self.cases.budget)
            if len(chosen) < len(outputs):
                del session
                data = with_outputs_only(graph.data, chosen)
                session = OnnxGraph(graph.folder, data, "plain", self.shape)
            got = session.run(self.cases.ids[case], [s.name for s in chosen])
            self._against_reference("plain", case, chosen, got)
            if lens and case == self.cases.small:
                layers = [i for i in range(self.shape.layers) if kinds()["lens_ids"].at(i) in lens]
                self._lens_case(session, case, layers, "plain")
            if case == self.cases.small:
                small = got
        return small

    def _plain_select(self, graph: GraphFile) -> None:
        """Check all outputs that `oriel select` can choose, from the plain graph as it is."""
        self.on_stage("choose every output of the plain graph")
        specs = [s for s in [*self.inner, *self.lens] if s.name != "logits"]
        built = open_graph(graph.data, graph.path)
        chosen = select_outputs(built, [s.name for s in specs]).model.SerializeToString()
        session = OnnxGraph(graph.folder, chosen, "plain", self.shape)
        case = self.cases.small
        got = session.run(self.cases.ids[case], [s.name for s in self.inner])
        want = self.cases.values(case, [s.name for s in self.inner])
        bound = self.bounds.of("plain_select")
        self._measure_all("plain_select", got, want, bound, str(case))

    # The interactive graph.

    def _interactive(self, graph: GraphFile, taps: Sequence[Tap], plain: Arrays) -> None:
        self.on_stage("run the interactive graph with every tap open")
        closed = OnnxGraph(graph.folder, graph.data, "interactive", self.shape)
        check_session_ports(graph, self.manifest, closed, self.findings)
        del closed
        tapped = with_taps(graph.data, _without_lens(taps))
        session = OnnxGraph(graph.folder, tapped, "interactive", self.shape)
        absent = [s.name for s in self.inner if s.name not in session.outputs]
        self.findings.differences("taps_open", [f"{name} didn't open" for name in absent])
        names = [s.name for s in [*self.inner, *self.cache]]
        for case in self.cases.cases:
            if case == self.longest and case != self.cases.small:
                continue
            got = session.run(self.cases.ids[case], names)
            self._against_reference("interactive", case, self.inner, got)
            self._present(case, got)
            if case == self.cases.small:
                self._measure_all(
                    "plain_vs_interactive",
                    plain,
                    got,
                    self.bounds.of("plain_vs_interactive"),
                    str(case),
                )
                with self.findings.guarded("logits_start"):
                    self._logits_start(session, case, got)
                with self.findings.guarded("cached_vs_uncached"):
                    self._cached(session, case, got, names)
        self.on_stage("intervene")
        with self.findings.guarded("head_scale"):
            self._head_scales(session)
        with self.findings.guarded("resid_delta"):
            self._resid_deltas(session)

    def _longest(self, graph: GraphFile, taps: Sequence[Tap]) -> None:
        """Check as many outputs of the longest text as fit; its last token also with the cache."""
        case = self.longest
        self.on_stage(f"run {case.seq} tokens")
        opened = _without_lens(taps)
        tapped = {"logits", *(spec.name for tap in opened for spec in tap.outputs)}
        reachable = [spec for spec in self.inner if spec.name in tapped]
        chosen = outputs_within_budget(reachable, case, self.shape, self.cases.budget)
        data = with_outputs_only(with_taps(graph.data, opened), [*chosen, *self.cache])
        session = OnnxGraph(graph.folder, data, "interactive", self.shape)
        names = [s.name for s in [*chosen, *self.cache]]
        ids = self.cases.ids[case]
        got = session.run(ids, names)
        self._against_reference("interactive", case, chosen, got)
        if case.seq > 1:
            past = past_from(got, self.shape, case.seq - 1)
            step = session.run(ids[:, -1:], names, past=past)
            self._same_tail(
                "cached_vs_uncached", step, got, case.seq - 1, case.seq, f"{case}, last"
            )
        limit = "" if case.seq == self.shape.context_length else f" of {self.shape.context_length}"
        self.findings.passed(
            "longest_sequence",
            f"{case.seq}{limit} tokens; {len(chosen)} of {len(self.inner)} activations",
        )

    def _present(self, case: Case, got: Arrays) -> None:
        """Check that present.* without a past is k and v."""
        for layer in range(self.shape.layers):
            for part in ("key", "value"):
                name = present_name(layer, part)
                fed = kinds()[part[0]].at(layer)
                if name in got and fed in got:
                    found = difference(got[name], got[fed])
                    bound = self.bounds.of("present")
                    self.findings.measure("present", found.relative, bound, f"{name}, {case}")

    def _logits_start(self, session: OnnxGraph, case: Case, whole: Arrays) -> None:
        """Check that logits of some positions are those rows of all, and nothing else changes."""
        bound = self.bounds.of("logits_start")
        for start in (-1, case.seq // 2):
            part = session.run(self.cases.ids[case], ["logits", "final_norm"], logits_start=start)
            want = {"logits": whole["logits"][:, start:], "final_norm": whole["final_norm"]}
            self._measure_all("logits_start", part, want, bound, f"{case}, from {start}")

    def _cached(self, session: OnnxGraph, case: Case, whole: Arrays, names: Sequence[str]) -> None:
        """Run the text in pieces of several tokens and of one, each with the last one's cache."""
        if case.seq < 2:
            self.findings.not_applicable("cached_vs_uncached", "the model reads one token at most")
            return
        first = max(1, case.seq // 3)
        ends = list(dict.fromkeys([first, first + 1, case.seq]))
        past: Arrays | None = None
        start = 0
        for end in ends:
            part = session.run(self.cases.ids[case][:, start:end], names, past=past)
            self._same_tail(
                "cached_vs_uncached", part, whole, start, end, f"{case}, {start} to {end}"
            )
            past = past_from(part, self.shape, end)
            start = end

    def _same_tail(
        self, check: str, part: Arrays, whole: Arrays, start: int, end: int, where: str
    ) -> None:
        """Compare outputs for tokens [start, end) with those rows of a run over all tokens."""
        expected = {
            name: _rows(value, self._axis(name), start, end, name)
            for name, value in whole.items()
            if name in part
        }
        self._measure_all(check, part, expected, self.bounds.of(check), where)

    def _axis(self, name: str) -> int:
        """Return the index of `seq` in a tensor's shape; of `total` where there is no `seq`."""
        spec = next(s for s in [*self.inner, *self.cache] if s.name == name)
        return spec.shape.index("seq" if "seq" in spec.shape else "total")

    def _head_scales(self, session: OnnxGraph) -> None:
        """Turn off a head in each layer; then scale all heads of all layers at once."""
        rng = np.random.default_rng(SEED)
        heads, layers = self.shape.heads, self.shape.layers
        for layer in range(layers):
            scale = np.ones(heads, dtype=np.float32)
            scale[layer % heads] = 0
            change = Interventions(head_scales={layer: scale})
            self._changed("head_scale", session, change, f"layer {layer}, head {layer % heads} off")
        scales = {i: rng.uniform(0, 2, heads).astype(np.float32) for i in range(layers)}
        self._changed("head_scale", session, Interventions(head_scales=scales), "all heads scaled")

    def _resid_deltas(self, session: OnnxGraph) -> None:
        """Add a vector to the stream in each layer: one for all positions, or one for each."""
        rng = np.random.default_rng(SEED)
        case = self.cases.small
        for layer in range(self.shape.layers):
            name = kinds()["resid_post"].at(layer)
            size = float(self.cases.values(case, [name])[name].std())
            form = (1, 1) if layer % 2 else (case.batch, case.seq)
            delta = rng.normal(0, size, (*form, self.shape.hidden)).astype(np.float32)
            change = Interventions(resid_deltas={layer: delta})
            self._changed(
                "resid_delta", session, change, f"layer {layer}, delta {form[0]}×{form[1]}"
            )

    def _changed(self, check: str, session: OnnxGraph, change: Interventions, where: str) -> None:
        ids = self.cases.ids[self.cases.small]
        names = [s.name for s in self.inner if _kind(s.name) not in _BY_SECOND_PASS]
        got = session.run(ids, names, change)
        want = self.cases.reference.run(ids, names, change)
        self._measure_all(check, got, want, self.bounds.of(check), where)

    # Products of quantized weights.

    def products(self, graph: GraphFile, float_graph: Path, weights: Mapping[str, Array]) -> None:
        """Check each product alone, at a small size, as it is and with every head and stream
        changed. weights: decoded values of the encoded ones."""
        self.on_stage("multiply each weight alone")
        float_model = onnx.load_model(float_graph, load_external_data=False)
        found = list(products(float_model.graph, float_graph.parent))
        session = OnnxGraph(
            graph.folder, with_products(graph.model, found), "interactive", self.shape
        )
        rng = np.random.default_rng(SEED)
        layers, heads = range(self.shape.layers), self.shape.heads
        changed = Interventions(
            {i: rng.uniform(0, 2, heads).astype(np.float32) for i in layers},
            {i: rng.normal(0, 1, (1, 1, self.shape.hidden)).astype(np.float32) for i in layers},
        )
        for change in (NONE, changed):
            ids = self.cases.ids[self.cases.small]
            values = session.run(ids, session.outputs, change)
            bound = self.bounds.of(CHECK)
            check_products(graph.model, found, values, weights, bound, self.findings)

    # The logit lens.

    def _lens(self, graph: GraphFile, taps: Sequence[Tap]) -> None:
        """Check every layer at a small size, and as many as the budget holds at the longest."""
        self.on_stage("read every layer through the logit lens")
        budget = self.cases.budget
        groups = choose_lens_layers(self.cases.small, self.shape, budget)
        longest = choose_lens_layers(self.longest, self.shape, budget)[0]
        for layers in groups if longest in groups else [*groups, longest]:
            wanted = {kinds()["lens_ids"].at(layer) for layer in layers}
            data = with_taps(graph.data, [t for t in taps if t.outputs[0].name in wanted])
            session = OnnxGraph(graph.folder, data, "interactive", self.shape)
            if layers in groups:
                self._lens_case(session, self.cases.small, layers, "interactive")
            if layers == longest:
                self._lens_case(session, self.longest, layers, "interactive")

    def _lens_case(
        self, session: OnnxGraph, case: Case, layers: Sequence[int], graph: GraphName
    ) -> None:
        specs = [s for s in self.lens if (parse_name(s.name) or (None, -1))[1] in layers]
        # The lens reads every position, wherever logits start.
        ids = self.cases.ids[case]
        got = session.run(ids, [s.name for s in specs], logits_start=-1)
        self._shapes(graph, case, specs, got)
        resid = kinds()["resid_post"]
        stream = self.cases.values(case, [resid.at(layer) for layer in layers])
        for layer in layers:
            names = [kinds()[kind].at(layer) for kind in LENS_KINDS]
            if not all(name in got for name in names):
                continue
            read = self.cases.reference.lens(stream[resid.at(layer)])
            found = lens_difference(got[names[0]], got[names[1]], read)
            for name, gap in zip(names, found, strict=True):
                self._add(graph, name, gap, case)

    # Measuring.

    def _against_reference(
        self, graph: GraphName, case: Case, specs: Sequence[TensorSpec], got: Arrays
    ) -> None:
        want = self.cases.values(case, [s.name for s in specs])
        self._shapes(graph, case, specs, got)
        for spec in specs:
            if spec.name not in got:
                continue
            where = causal(case.seq, case.seq) if _kind(spec.name) == "attn_scores" else None
            found = difference(got[spec.name], want[spec.name], where)
            self._add(graph, spec.name, found, case)
            if spec.name == "logits":
                bound = self.bounds.relative("logits")
                self.findings.measure(
                    "logits_relative", self.bounds.error(found), bound, f"{graph}, {case}"
                )
        self._invariants(graph, case, got)

    def _add(self, graph: GraphName, name: str, found: Difference, case: Case) -> None:
        error, bound = self.bounds.activation(_kind(name), found)
        self.worst.setdefault((graph, name), Worst()).add(found, error, bound, str(case))

    def _shapes(
        self, graph: GraphName, case: Case, specs: Sequence[TensorSpec], got: Arrays
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

    def _invariants(self, graph: GraphName, case: Case, got: Arrays) -> None:
        """Check the contract's rules that hold within one file, whatever its weights."""
        where = f"{graph} layer {{}}, {case}"
        for layer in range(self.shape.layers):
            here = {k: got[kind.at(layer)] for k, kind in kinds().items() if kind.at(layer) in got}
            self._attention_rules(here, where.format(layer))
            self._sum_rule("resid_mid", "resid_pre", "attn_output", here, where.format(layer))
            if kinds()["resid_mid"].present_in(self.shape):
                self._sum_rule("resid_post", "resid_mid", "mlp_output", here, where.format(layer))
        first = kinds()["resid_pre"].at(0)
        if "embedding_sum" in got and first in got:
            found = difference(got["embedding_sum"], got[first])
            bound = self.bounds.of("embedding_sum")
            self.findings.measure("embedding_sum", found.relative, bound, f"{graph}, {case}")

    def _attention_rules(self, here: Mapping[str, Array], where: str) -> None:
        probs, scores = here.get("attn_probs"), here.get("attn_scores")
        if probs is not None and probs.ndim == 4:
            allowed = causal(*probs.shape[-2:])
            rows = np.abs(probs.sum(axis=-1, dtype=np.float64) - 1)
            bound = self.bounds.of("attention_rows")
            self.findings.measure("attention_rows", _peak(rows), bound, where)
            above = np.where(allowed, 0, np.abs(probs))
            self.findings.measure("causal_mask", _peak(above), 0.0, where)
            outside = np.maximum(np.maximum(-probs, probs - 1), 0)
            self.findings.measure("attention_range", _peak(outside), bound, where)
        if scores is not None and scores.ndim == 4:
            masked = np.where(causal(*scores.shape[-2:]), MASKED_SCORE, scores)
            wrong = int(np.count_nonzero(masked != MASKED_SCORE))
            self.findings.measure("masked_scores", float(wrong), 0.0, where)

    def _sum_rule(
        self, total: str, one: str, other: str, here: Mapping[str, Array], where: str
    ) -> None:
        if all(kind in here for kind in (total, one, other)):
            found = difference(here[total], here[one] + here[other])
            bound = self.bounds.of(f"{total}_sum")
            self.findings.measure(f"{total}_sum", found.relative, bound, where)

    def _measure_all(
        self, check: str, got: Arrays, want: Mapping[str, Array], bound: float, where: str
    ) -> None:
        """Record the largest error of all tensors that are in both, as one check."""
        shared = [name for name in got if name in want]
        if not shared:
            self.findings.failed(check, f"nothing to compare at {where}")
        for name in shared:
            allowed = None
            if _kind(name) == "attn_scores":
                allowed = causal(*got[name].shape[-2:])
            found = difference(got[name], want[name], allowed)
            error = self.bounds.error(found)
            self.findings.measure(check, error, bound, f"{name}, {where}")

    # Results.

    def results(self, plain: Sequence[TensorSpec]) -> list[ActivationResult]:
        """Return a row for each output of the plain graph and each activation of the contract."""
        rows = [self._result("plain", spec) for spec in plain]
        return rows + [self._result("interactive", s) for s in all_activations(self.shape)]

    def _result(self, graph: GraphName, spec: TensorSpec) -> ActivationResult:
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


def check_reference(cases: ReferenceCases, bound: float, findings: Findings) -> None:
    """Check that the hooks change nothing: they see what transformers itself returns."""
    reference, case = cases.reference, cases.small
    ids, shape = cases.ids[case], cases.reference.shape
    hidden, attentions, logits = reference.own_outputs(ids)
    names = [kinds()["resid_pre"].at(i) for i in range(shape.layers)]
    seen = cases.values(case, [s.name for s in all_activations(shape) if _hooked(s.name)])
    pairs = [(name, hidden[i]) for i, name in enumerate(names)]
    # The last hidden state of transformers is after the final norm.
    pairs += [("final_norm", hidden[-1]), ("logits", logits)]
    pairs += [(kinds()["attn_probs"].at(i), a) for i, a in enumerate(attentions)]
    for name, own in pairs:
        findings.measure("reference", difference(seen[name], own).relative, bound, name)
    watched = reference.run_observed(ids, (), {}, NONE).numpy()
    gap = difference(watched, logits)
    findings.measure("reference", gap.relative, bound, "logits under observation")


def _hooked(name: str) -> bool:
    return not name.endswith(LENS_KINDS)


def _rows(value: Array, axis: int, start: int, end: int, name: str) -> Array:
    """Return the part of a whole run that a run of tokens [start, end) must give."""
    index: list[slice] = [slice(None)] * value.ndim
    grows = parse_name(name) is None
    index[axis] = slice(0, end) if grows else slice(start, end)
    if _kind(name) in ("attn_scores", "attn_probs"):
        index[-1] = slice(0, end)
    return value[tuple(index)]


def _peak(values: Array) -> float:
    peak = float(values.max(initial=0))
    return peak if np.isfinite(peak) else float("inf")


def _kind(name: str) -> str:
    found = parse_name(name)
    return name if found is None else found[0].kind


def _without_lens(taps: Iterable[Tap]) -> list[Tap]:
    return [tap for tap in taps if not tap.outputs[0].name.endswith(LENS_KINDS)]
