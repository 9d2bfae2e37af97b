"""Compares QK attribution with PyTorch: each pair of parts goes through the norm, the query and key
matrices and the rotation of the model's own modules."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from oriel import Bundle
from oriel.analysis.qk_attribution import Part, Score, attribute_score
from oriel.errors import OptionError
from oriel.models.architectures import find_architecture

IDS = [5, 17, 3, 40, 41, 2]
FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"


@pytest.fixture(scope="module")
def in_torch() -> Iterator[tuple[Any, Any]]:
    sys.path.insert(0, str(FIXTURES))
    try:
        record = importlib.import_module("make_browser_fixtures")
        yield record, importlib.import_module("shares_in_torch")
    finally:
        sys.path.remove(str(FIXTURES))


def score_in_torch(
    in_torch: tuple[Any, Any], checkpoint: Path, score: Score
) -> tuple[list[Part], Tensor, float]:
    """Return the parts of a score, (parts, parts), and the score, computed by definition."""
    record, shares = in_torch
    model: Any = AutoModelForCausalLM.from_pretrained(checkpoint, attn_implementation="eager")
    a = find_architecture(model.config.model_type)
    found = record.record(model, a, IDS, checkpoint)
    where = (score.layer, score.head, score.query, score.key)
    parts, want = shares.score_parts(model, a, found, where)
    given = found[f"layer_{score.layer}_attn_scores"][0, score.head, score.query, score.key]
    return [Part(*part) for part in parts], want, float(given)


@pytest.mark.parametrize(
    ("model", "score"),
    [
        ("gpt2", Score(0, 1, 4, 2)),
        ("gpt2", Score(3, 2, 5, 1)),
        ("gpt2", Score(2, 0, 3, 3)),
        ("llama", Score(0, 3, 5, 0)),
        ("llama", Score(1, 2, 4, 1)),
    ],
)
def test_the_parts_of_a_score_are_pytorchs(
    model: str, score: Score, in_torch: tuple[Any, Any], request: pytest.FixtureRequest
) -> None:
    checkpoint: Path = request.getfixturevalue(f"tiny_{model}_checkpoint")
    folder: Path = request.getfixturevalue(f"tiny_{model}_bundle")
    with torch.no_grad():
        parts, want, given = score_in_torch(in_torch, checkpoint, score)
    with Bundle(folder, "fp32") as bundle:
        found = attribute_score(bundle, IDS, score)
        in_pieces = attribute_score(bundle, IDS, score, most_bytes=60_000)
    assert list(found.parts) == parts
    largest = float(want.abs().max())
    np.testing.assert_allclose(found.values, want, rtol=0, atol=1e-4 * max(largest, 1))
    np.testing.assert_allclose(in_pieces.values, found.values, rtol=0, atol=1e-5 * largest)
    assert found.score == pytest.approx(given, abs=1e-4)
    assert found.values.sum() == pytest.approx(given, abs=1e-3 * largest)
    np.testing.assert_allclose(found.by_query().sum(), found.by_key().sum(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("score", "message"),
    [
        (Score(4, 0, 1, 0), "no such layer; got layer 4; expected 0 to 3"),
        (Score(0, 3, 1, 0), "no such head; got head 3; expected 0 to 2"),
        (Score(0, 0, 1, 2), "doesn't see the key; got query 1 and key 2 of 6 tokens"),
        (Score(0, 0, 6, 2), "got query 6 and key 2 of 6 tokens"),
    ],
)
def test_a_score_that_isnt_there_is_refused(
    score: Score, message: str, tiny_gpt2_bundle: Path
) -> None:
    with Bundle(tiny_gpt2_bundle) as bundle, pytest.raises(OptionError, match=message):
        attribute_score(bundle, IDS, score)
