"""A window in the sizes of a model: where its layers may look, and what it makes impossible."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from oriel.contract.activation_names import LayerSizes, ModelShape
from oriel.errors import OptionError
from oriel.graph.static_cache import check_length
from oriel.verification.cases import Case
from oriel.verification.compare import allowed_scores, causal
from oriel.verification.error_bounds import bounds_for
from oriel.verification.invariants import Invariants
from oriel.verification.report import Findings

SHAPE = ModelShape(2, 4, 1, 1, 4, 4, 9, 8, layer_sizes=(LayerSizes(window=2), LayerSizes()))


def test_a_token_sees_itself_and_those_just_before_it() -> None:
    rows = [[0, 1, 1, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 1, 1]]
    assert causal(3, 5, window=2).astype(int).tolist() == rows
    assert causal(3, 5, window=9).tolist() == causal(3, 5).tolist()


def test_each_layer_has_its_own() -> None:
    scores = (1, 1, 3, 3)
    first = allowed_scores("layer_0_attn_scores", SHAPE, scores)
    second = allowed_scores("layer_1_attn_scores", SHAPE, scores)
    assert first is not None
    assert second is not None
    assert first.astype(int).tolist() == [[1, 0, 0], [1, 1, 0], [0, 1, 1]]
    assert second.astype(int).tolist() == [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    assert allowed_scores("layer_0_attn_probs", SHAPE, scores) is None


@pytest.mark.parametrize(("layer", "verdict"), [(0, "failed"), (1, "passed")])
def test_a_look_beyond_it_is_found(layer: int, verdict: str) -> None:
    bounds, findings = bounds_for("fp32"), Findings()
    assert bounds is not None
    probs = np.tri(3, dtype=np.float32) / np.arange(1, 4, dtype=np.float32)[:, None]
    got = {f"layer_{layer}_attn_probs": probs[None, None]}
    Invariants(SHAPE, bounds, findings).check("plain", Case(1, 3), got)
    assert findings.checks["causal_mask"].verdict == verdict


def test_a_static_cache_is_refused() -> None:
    check_length(4, replace(SHAPE, layer_sizes=()))
    with pytest.raises(OptionError, match="got a window of 2 tokens"):
        check_length(4, SHAPE)
