"""QK attribution beside PyTorch: each pair of parts through the norm, the matrices of queries and
keys, and the rotation, by the model's own modules."""

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
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

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


def split(block: Any, kind: str, flat: Tensor, width: int, biased: bool) -> Tensor:
    """Return queries or keys, (1, heads, seq, width), without rotation."""
    if hasattr(block, "attn"):
        matrix, size = block.attn.c_attn, flat.shape[-1]
        part = slice(0, size) if kind == "q" else slice(size, 2 * size)
        found = flat @ matrix.weight[:, part] + (matrix.bias[part] if biased else 0)
    else:
        matrix = getattr(block.self_attn, f"{kind}_proj")
        found = flat @ matrix.weight.T
        if biased and matrix.bias is not None:
            found = found + matrix.bias
    by_head: Tensor = found.unflatten(-1, (-1, width)).transpose(1, 2)
    return by_head


def score_in_torch(
    in_torch: tuple[Any, Any], checkpoint: Path, score: Score
) -> tuple[list[Part], Tensor, float]:
    """Return the parts, (parts, parts) of a score, and the score, by definition."""
    record, shares = in_torch
    model: Any = AutoModelForCausalLM.from_pretrained(checkpoint, attn_implementation="eager")
    a = find_architecture(model.config.model_type)
    found = record.record(model, a, IDS)
    blocks = list(model.get_submodule(a.blocks).children())
    parts, values = [Part("embedding")], [found["layer_0_resid_pre"]]
    for at in range(score.layer):
        heads, rest = shares.head_outputs(blocks[at], a, found[f"layer_{at}_attn_z"])
        parts += [Part("head", at, head) for head in range(heads.shape[1])]
        values += list(heads.unbind(dim=1))
        parts += [Part("attention_rest", at), Part("mlp", at)]
        values += [rest, found[f"layer_{at}_mlp_output"]]
    block, stream = blocks[score.layer], found[f"layer_{score.layer}_resid_pre"]
    norm = block.ln_1 if hasattr(block, "ln_1") else block.input_layernorm
    width = found["layer_0_q"].shape[-1]
    sides = []
    for kind in "qk":
        of_parts = [
            split(block, kind, shares.normed(norm, value, stream), width, False) for value in values
        ]
        bias = getattr(norm, "bias", None)
        bias = torch.zeros_like(stream) if bias is None else bias.expand(stream.shape)
        of_parts.append(split(block, kind, bias, width, True))
        side = torch.cat(of_parts)
        if hasattr(model.model if hasattr(model, "model") else model, "rotary_emb"):
            cos, sin = model.model.rotary_emb(stream, torch.arange(len(IDS))[None])
            side, _ = apply_rotary_pos_emb(side, side, cos, sin)
        sides.append(side)
    queries, keys = sides
    group = queries.shape[1] // keys.shape[1]
    query = queries[:, score.head, score.query]
    key = keys[:, score.head // group, score.key]
    want = query @ key.T / width**0.5
    given = found[f"layer_{score.layer}_attn_scores"][0, score.head, score.query, score.key]
    return [*parts, Part("bias")], want, float(given)


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
