"""The attribution tap's inner direction, which the page makes an output to steer along a token."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM

import oriel
from oriel.arrays import Array
from oriel.contract.activation_names import TensorSpec
from oriel.contract.attribution_names import SIGNS, TOKENS
from oriel.graph.attribution import AttributionTaps
from oriel.graph.node_writer import NodeWriter
from oriel.runtime.bundle import Addition

DIRECTION = "attribution/model/direction"
ANSWER, OTHER = 7, 40


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_the_direction_is_the_logits_gradient_in_front_of_the_norm(
    architecture: str, request: pytest.FixtureRequest
) -> None:
    folder: Path = request.getfixturevalue(f"tiny_{architecture}_bundle")
    checkpoint: Path = request.getfixturevalue(f"tiny_{architecture}_checkpoint")
    bundle = oriel.Bundle(folder)
    writer = NodeWriter("direction/")
    shape = TensorSpec(DIRECTION, "float32", (bundle.shape.hidden, 1))
    feeds: dict[str, Array] = {
        TOKENS: np.array([ANSWER, OTHER], dtype=np.int64),
        SIGNS: np.array([[1.0], [-1.0]], dtype=np.float32),
    }
    stored = bundle.record.get("attribution")
    assert stored is not None
    added = AttributionTaps.from_json(stored).model + writer.appended([], [shape])
    addition = Addition(DIRECTION, lambda _: added, (DIRECTION,), feeds)
    found = bundle.run_with(addition, [[1, 2, 3]])[DIRECTION][:, 0]

    model: Any = AutoModelForCausalLM.from_pretrained(checkpoint)
    model = model.float().eval()
    norm = model.transformer.ln_f if architecture == "gpt2" else model.model.norm
    # The norm's divisor is held fixed: what is left of it is linear in the stream.
    rows = model.get_output_embeddings().weight
    right = (rows[ANSWER] - rows[OTHER]) * norm.weight
    if isinstance(norm, torch.nn.LayerNorm):
        right = right - right.mean()
    assert np.abs(found - right.detach().numpy()).max() < 1e-6
    assert float(right.norm()) > 0.01
