"""Measuring and choosing, by hand-computed cases: differences, the lens, budgets, findings."""

from __future__ import annotations

import io
import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from rich.console import Console

from oriel.contract.activation_names import LayerSizes, ModelShape, TensorSpec, all_activations
from oriel.verification.cases import (
    Case,
    choose_cases,
    choose_ids,
    choose_lens_layers,
    longest_sequence,
    outputs_within_budget,
)
from oriel.verification.compare import (
    Difference,
    Worst,
    activation_difference,
    causal,
    difference,
    lens_difference,
    with_router_probs,
)
from oriel.verification.error_bounds import bounds_for, model_bounds
from oriel.verification.report import (
    ActivationResult,
    Check,
    Findings,
    Report,
    VariantReport,
    print_report,
)

SHAPE = ModelShape(
    layers=3,
    hidden=8,
    heads=2,
    kv_heads=2,
    head_dim=4,
    intermediate=16,
    vocab=50,
    context_length=40,
)


def test_difference_is_relative_to_the_largest_reference() -> None:
    found = difference(np.array([1.0, -4.0, 0.0]), np.array([1.0, -4.5, 0.25]))
    assert found == Difference(0.5, 0.5 / 4.5, 4.5)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_infinitely_wrong(bad: float) -> None:
    good, wrong = np.array([1.0, 2.0]), np.array([1.0, bad])
    assert math.isinf(difference(wrong, good).relative)
    assert math.isinf(difference(good, wrong).absolute)
    assert math.isinf(difference(np.zeros(3), np.zeros(2)).absolute)


def test_difference_where_nothing_is() -> None:
    assert difference(np.zeros(3), np.zeros(3)).relative == 0
    assert math.isinf(difference(np.ones(3), np.zeros(3)).relative)
    masked = difference(np.array([1.0, 9.0]), np.array([1.0, 0.0]), np.array([True, False]))
    assert masked.relative == 0


def test_causal_lets_a_token_see_the_past_and_itself() -> None:
    assert causal(2, 2).tolist() == [[True, False], [True, True]]
    assert causal(2, 3).tolist() == [[True, True, False], [True, True, True]]
    assert causal(1, 3).tolist() == [[True, True, True]]


def lens(ids: list[int], probs: list[float], full: list[float]) -> tuple[float, float]:
    whole = [(slice(0, 1), np.array([[full]]))]
    found = lens_difference(np.array([[ids]]), np.array([[probs]]), whole)
    return found[0].relative, found[1].relative


def test_lens_compares_ids_by_what_the_reference_thinks_of_them() -> None:
    full = [0.1, 0.4, 0.2, 0.3]
    assert lens([1, 3], [0.4, 0.3], full) == (0.0, 0.0)
    # The third instead of the second: a third less likely than what belongs there.
    wrong_id, wrong_prob = lens([1, 2], [0.4, 0.3], full)
    assert wrong_id == pytest.approx(1 / 3) and wrong_prob == 0
    assert lens([1, 3], [0.4, 0.2], full)[1] == pytest.approx(0.1 / 0.4)


def test_lens_allows_ties_and_nothing_else() -> None:
    full = [0.3, 0.3, 0.4]
    assert lens([2, 0], [0.4, 0.3], full)[0] == 0
    assert lens([2, 1], [0.4, 0.3], full)[0] == 0
    assert math.isinf(lens([2, 2], [0.4, 0.3], full)[0])
    assert math.isinf(lens([2, 7], [0.4, 0.3], full)[0])
    assert math.isinf(lens([2, -1], [0.4, 0.3], full)[0])


def test_worst_is_by_bound_not_by_size() -> None:
    worst = Worst()
    history = [worst.within]
    for error, bound, where in ((0.5, 1.0, "a"), (0.4, 0.5, "b"), (0.4, 1.0, "c")):
        worst.add(Difference(0, 0, 1), error, bound, where)
        history.append(worst.within)
    assert worst.where == "b" and worst.count == 3
    worst.add(Difference(0, 0, 1), math.inf, 1.0, "d")
    assert worst.where == "d"
    assert [*history, worst.within] == [False, True, True, True, False]


def test_a_choice_of_experts_is_held_to_the_routers_probabilities() -> None:
    probs = np.array([[[0.1, 0.4, 0.4, 0.1], [0.7, 0.2, 0.05, 0.05]]], np.float32)
    want = {
        "layer_0_router_probs": probs,
        "layer_0_expert_ids": np.array([[[1, 2], [0, 1]]]),
    }
    for got, error in (
        ([[1, 2], [0, 1]], 0),
        # As likely.
        ([[2, 1], [0, 1]], 0),
        # 0.05 in the place of 0.2.
        ([[1, 2], [0, 3]], 0.75),
        ([[1, 1], [0, 1]], math.inf),
        ([[1, 2], [0, 4]], math.inf),
    ):
        found = activation_difference("layer_0_expert_ids", np.array([got]), want, SHAPE)
        assert found.relative == pytest.approx(error)
    # Without them they are held to be equal.
    alone = {"layer_0_expert_ids": want["layer_0_expert_ids"]}
    found = activation_difference("layer_0_expert_ids", np.array([[[2, 1], [0, 1]]]), alone, SHAPE)
    assert found.relative > 0
    assert with_router_probs(["logits", "layer_3_expert_ids"]) == [
        *("logits", "layer_3_expert_ids", "layer_3_router_probs")
    ]


def test_routers_widen_the_bounds_of_what_rounds() -> None:
    layers = (LayerSizes(), LayerSizes(experts=4, active_experts=2), LayerSizes())
    routed = replace(SHAPE, layer_sizes=layers)
    for precision, by_norm, edits in (("fp32", False, 3e-5), ("fp16", True, 0.1)):
        found, without = (model_bounds(precision, shape) for shape in (routed, SHAPE))
        assert found is not None and without is not None
        assert (found.by_norm, found.of("edits")) == (by_norm, edits)
        assert not without.by_norm
    int8 = model_bounds("int8", routed)
    assert int8 is not None
    # A token that another expert reads differs as a whole; a product is as right as ever.
    assert int8.relative("resid_post") == int8.of("cached_vs_uncached") == 0.7
    assert int8.of("products") == 0.001


def test_cases_hold_one_and_the_longest() -> None:
    cases = choose_cases(SHAPE, 10**6)
    assert cases[0] == Case(1, 1) and cases[-1] == Case(1, 40)
    assert {case.batch for case in cases} >= {1, 2, 3}
    tiny = replace(SHAPE, context_length=1)
    assert {case.seq for case in choose_cases(tiny, 10**6)} == {1}


def test_budget_bounds_the_longest_text_and_what_is_looked_at() -> None:
    assert longest_sequence(SHAPE, 10**6) == 40
    assert longest_sequence(SHAPE, 1000) == 20
    assert longest_sequence(SHAPE, 1) == 1
    specs = [s for s in all_activations(SHAPE) if "lens" not in s.name]
    case = Case(1, 20)
    everything = sum(int(np.prod(case.sizes(s))) for s in specs)
    assert outputs_within_budget(specs, case, SHAPE, everything) == specs
    some = outputs_within_budget(specs, case, SHAPE, everything // 2)
    assert sum(int(np.prod(case.sizes(s))) for s in some) <= everything // 2
    names = {s.name for s in some}
    assert {"logits", "embedding_sum", "layer_2_attn_probs"} <= names
    assert "layer_1_attn_probs" not in names
    assert choose_lens_layers(case, SHAPE, 10**6) == [[0, 1, 2]]
    assert choose_lens_layers(case, SHAPE, 2500) == [[0, 2], [1]]
    assert choose_lens_layers(case, SHAPE, 1) == [[2], [0], [1]]


def test_sizes_of_a_case() -> None:
    spec = TensorSpec("layer_0_attn_probs", "float32", ("batch", 2, "seq", "total"))
    assert Case(3, 5).sizes(spec) == (3, 2, 5, 5)
    assert Case(3, 5).sizes(spec, past=4) == (3, 2, 5, 9)


def test_ids_are_text_but_for_single_tokens() -> None:
    cases = [Case(3, 1), Case(2, 4)]
    text = list(range(10, 20))
    ids = choose_ids(cases, SHAPE, text, seed=1)
    assert ids[Case(2, 4)].shape == (2, 4) and ids[Case(2, 4)].dtype == np.int64
    flat = ids[Case(2, 4)].ravel()
    assert all(b - a in (1, -9) for a, b in pairwise(flat.tolist()))
    again = choose_ids(cases, SHAPE, text, seed=1)
    assert all((ids[case] == again[case]).all() for case in cases)
    noise = choose_ids([Case(2, 40)], SHAPE, [], seed=1)[Case(2, 40)]
    assert noise.min() >= 0 and noise.max() < SHAPE.vocab and len(set(noise.ravel())) > 20


def test_bounds_on_logits_are_absolute_until_they_are_large() -> None:
    bounds = bounds_for("fp32")
    assert bounds is not None and bounds_for("int3") is None
    assert bounds.activation("logits", Difference(5e-5, 1.0, 10.0)) == (5e-5, 1e-4)
    assert bounds.activation("logits", Difference(5e-5, 1.0, 500.0))[1] == pytest.approx(1e-3)
    error, bound = bounds.activation("attn_z", Difference(1.0, 2e-6, 1.0))
    assert error == 2e-6 and bound <= 1e-4


def test_findings_keep_the_worst_and_never_forget_a_failure() -> None:
    findings = Findings()
    findings.measure("sum", 1e-7, 1e-6, "layer 0")
    findings.measure("sum", 5e-6, 1e-6, "layer 3")
    findings.measure("sum", 2e-7, 1e-6, "layer 4")
    assert findings.checks["sum"] == Check("sum", "failed", 5e-6, 1e-6, "worst: layer 3")
    findings.passed("sum", "fine after all")
    assert findings.checks["sum"].verdict == "failed"
    with findings.guarded("run"):
        raise ValueError("out of\nluck")
    assert findings.checks["run"] == Check("run", "failed", detail="ValueError: out of luck")
    findings.measure("run", 0.0, 1.0, "later")
    findings.passed("run")
    assert findings.checks["run"].verdict == "failed"
    findings.not_run("other", "no file")
    findings.measure("not a number", math.nan, 1.0, "layer 1")
    assert findings.checks["not a number"].verdict == "failed"
    findings.measure("not a number", 0.5, 1.0, "layer 2")
    assert findings.checks["not a number"].verdict == "failed"


def report_of(*results: ActivationResult, checks: tuple[Check, ...] = ()) -> Report:
    variant = VariantReport("fp32", "fp32", checks, results)
    return Report("m", None, (), (variant,), {}, 0, 0.0)


def result(name: str, verdict: str, error: float | None = 1e-6) -> ActivationResult:
    return ActivationResult(
        name,
        "decoder",
        ("batch_size", "sequence_length", 8),
        "float32",
        verdict,  # type: ignore[arg-type]
        error,
        error,
        1e-5,
        "1×1",
    )


def printed(report: Report, *, terminal: bool) -> str:
    console = Console(record=True, force_terminal=terminal, width=160, file=io.StringIO())
    print_report(report, console)
    return console.export_text()


@pytest.mark.parametrize("terminal", [True, False])
def test_the_table_names_the_worst_layer_and_ends_in_the_verdict(terminal: bool) -> None:
    report = report_of(
        result("logits", "passed"),
        result("layer_0_resid_post", "passed", 9e-6),
        result("layer_1_resid_post", "failed", 3e-5),
        checks=(Check("causal_mask", "failed", 0.5, 0.0, "layer [1]"),),
    )
    text = printed(report, terminal=terminal)
    assert "layer_*_resid_post (of 2, worst layer_1_resid_post)" in text
    assert "[batch_size, sequence_length, 8]" in text and "layer [1]" in text
    last = text.rstrip().splitlines()[-1]
    assert last == "FAILED: fp32: causal_mask, fp32: layer_1_resid_post"


def test_nothing_checked_is_not_a_pass() -> None:
    report = Report("m", None, (Check("manifest", "passed"),), (), {}, 0, 0.0)
    assert not report.passed
    assert report.conclusion() == "FAILED: nothing could be checked"
