"""Compares oriel.analysis with the table that PyTorch computed (tests/fixtures/analysis).
tests/web/analysis_table.test.ts reads the same file for the page."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contract_examples import read_json

from oriel.analysis import head_scores, lens_measures, metrics, residual
from oriel.analysis.attribution import Attribution
from oriel.analysis.qk_attribution import Part, ScoreParts, score_products
from oriel.arrays import Array

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
TABLE = read_json(FIXTURES / "analysis" / "cases.json")


def array(record: dict[str, Any]) -> Array:
    values = [np.nan if value is None else value for value in record["values"]]
    return np.array(values, dtype=np.float32).reshape(record["dims"])


def close(got: Any, want: dict[str, Any]) -> None:
    np.testing.assert_allclose(got, array(want), rtol=1e-5, atol=1e-6)


def alike(one: Any, other: Any) -> bool:
    """Return whether two tables are equal up to the rounding of different processors."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, float):
        return bool(np.isclose(one, other, rtol=1e-9, atol=1e-12))
    return bool(one == other)


def test_the_table_is_what_its_generator_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(FIXTURES)
    assert alike(importlib.import_module("make_analysis_cases").table(), TABLE)


@pytest.mark.parametrize("case", TABLE["head_scores"], ids=lambda case: case["name"])
def test_head_scores_are_those_of_the_table(case: dict[str, Any]) -> None:
    found = head_scores.scores_of([array(case["probs"])], case["ids"])
    assert found.keys() == case["scores"].keys()
    for name, scores in found.items():
        close(scores[0], case["scores"][name])


@pytest.mark.parametrize("case", TABLE["value_weighted"])
def test_value_weighted_attention_is_that_of_the_table(case: dict[str, Any]) -> None:
    close(head_scores.value_weighted(array(case["probs"]), array(case["values"])), case["weighted"])


def test_the_streams_measures_are_those_of_the_table() -> None:
    (case,) = TABLE["streams"]
    close(residual.norms(array(case["stream"])), case["norms"])
    close(residual.cosines(array(case["stream"]), array(case["other"])), case["cosines"])


def test_metrics_are_those_of_the_table() -> None:
    (case,) = TABLE["metrics"]
    logits = array(case["logits"])
    close(metrics.log_softmax(logits), case["log_softmax"])
    difference = metrics.LogitDifference(case["answer"], case["other"])
    close(difference(logits), case["logit_difference"])
    close(metrics.Divergence(array(case["reference"]))(logits), case["divergence"])


def test_shares_sum_to_that_of_the_table() -> None:
    (case,) = TABLE["attribution"]
    heads = array(case["heads"])
    shares = Attribution(
        embedding=array(case["embedding"])[None],
        heads=tuple(layer[None] for layer in heads),
        attention_rest=array(case["attention_rest"])[None],
        mlps=array(case["mlps"])[None],
        bias=case["bias"],
        logit=array(case["total"])[None],
    )
    close(shares.total()[0], case["total"])


def test_the_parts_of_a_score_are_those_of_the_table() -> None:
    (case,) = TABLE["score_parts"]
    values = score_products(array(case["queries"]), array(case["keys"]), case["scale"])
    close(values, case["values"])
    parts = ScoreParts((Part("bias"),) * len(values), values, float(values.sum()))
    close(parts.by_query(), case["by_query"])
    close(parts.by_key(), case["by_key"])


@pytest.mark.parametrize("case", TABLE["lens"])
def test_measures_of_the_lens_are_those_of_the_table(case: dict[str, Any]) -> None:
    logits, final = array(case["logits"]), array(case["final"])
    tokens = np.array([case["tokens"]] * len(logits))
    assert (logits.argmax(-1) == array(case["top"])).all()
    assert (lens_measures.ranks(logits, tokens) == array(case["rank"])).all()
    close(lens_measures.probabilities(logits, tokens), case["probability"])
    close(lens_measures.divergences(final, logits), case["divergence"])
    close(lens_measures.entropies(logits), case["entropy"])
