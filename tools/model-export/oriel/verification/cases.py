"""Chooses the batch and sequence sizes to try, the tokens of each, and how much of each is
compared, since memory is limited."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from oriel.contract.activation_names import (
    LENS_KINDS,
    ModelShape,
    TensorSpec,
    all_activations,
    parse_name,
)
from oriel.errors import BundleError, CheckpointError
from oriel.models.demo.bundled_text import held_out_passages
from oriel.models.load_model import LoadedModel
from oriel.tokenizers.checkpoint_tokenizer import CheckpointTokenizer
from oriel.tokenizers.open_tokenizer import encoding_errors

Ids = npt.NDArray[np.int64]

ELEMENTS = 96 * 1024 * 1024
"""Most numbers compared in one run: 384 MiB of float32, once for each side."""
OWN_TEXT = 128
"""Tokens that a model without a tokenizer writes for itself; longer cases repeat them."""
_PASSAGES = 100


@dataclass(frozen=True)
class Case:
    """A batch size and a sequence length."""

    batch: int
    seq: int

    def __str__(self) -> str:
        return f"{self.batch}×{self.seq}"

    def sizes(self, spec: TensorSpec, past: int = 0) -> tuple[int, ...]:
        """Return a spec's shape with its dynamic dimensions filled in."""
        return spec.sizes(self.batch, self.seq, past)


def choose_cases(shape: ModelShape, budget: int) -> list[Case]:
    """Choose cases of 1 and more sequences and of 1 and more tokens; the longest text is last."""
    longest = longest_sequence(shape, budget)
    wanted = [(1, 1), (3, 1), (2, 12), (1, 19), (3, 7), (1, longest)]
    return list(dict.fromkeys(Case(batch, min(seq, longest)) for batch, seq in wanted))


def choose_ids(
    cases: Sequence[Case], shape: ModelShape, text: Sequence[int], seed: int
) -> dict[Case, Ids]:
    """Choose (batch, seq) ids for each case from the text given: English where the model has a
    tokenizer, else text that the model writes itself.

    A trained model that reads noise magnifies rounding: on long random ids PyTorch in float32 is as
    far from PyTorch in float64 as ONNX Runtime is, ten times farther than on text. Noise is
    therefore kept to single tokens, which also reach rare parts of the vocabulary.
    """
    rng = np.random.default_rng(seed)
    ids: dict[Case, Ids] = {}
    for case in cases:
        count = case.batch * case.seq
        if case.seq == 1 or not text:
            flat = rng.integers(0, shape.vocab, count)
        else:
            start = int(rng.integers(0, len(text)))
            flat = np.take(np.asarray(text), np.arange(start, start + count), mode="wrap")
        ids[case] = flat.astype(np.int64).reshape(case.batch, case.seq)
    return ids


def text_ids(loaded: LoadedModel) -> list[int]:
    """Return a few thousand tokens of simple English; none where there is no tokenizer."""
    try:
        own = loaded.tokenizer
        if not isinstance(own, CheckpointTokenizer):
            return []
        texts = held_out_passages()[:_PASSAGES]
        with encoding_errors("the text", "see the check of the tokenizer."):
            parts = own.backend.encode_batch(texts, add_special_tokens=False)
    except (BundleError, CheckpointError):
        # A damaged tokenizer is reported by its own check, and some know no English.
        return []
    separator = list(loaded.end_tokens.ids[:1])
    ids = [i for part in parts for i in [*part.ids, *separator]]
    return ids if ids and max(ids) < loaded.shape.vocab else []


def longest_sequence(shape: ModelShape, budget: int) -> int:
    """Return the context length, or the part that one attention pattern and the logits allow."""
    by_logits, by_attention = budget // shape.vocab, math.isqrt(budget // shape.heads)
    return max(1, min(shape.context_length, by_logits, by_attention))


def outputs_within_budget(
    specs: Sequence[TensorSpec], case: Case, shape: ModelShape, budget: int
) -> list[TensorSpec]:
    """Return as many of the specs as the budget holds: first those of no layer, then those of the
    last layer, the first, and the rest."""
    chosen: set[str] = set()
    for spec in sorted(specs, key=lambda s: _priority(s, shape)):
        size = math.prod(case.sizes(spec))
        if size <= budget:
            budget -= size
            chosen.add(spec.name)
    return [spec for spec in specs if spec.name in chosen]


def choose_lens_layers(case: Case, shape: ModelShape, budget: int) -> list[list[int]]:
    """Return all layers in groups to be read at once, the last layer in the first group. Groups are
    limited since each lens computes logits of its own inside the graph."""
    size = max(1, budget // (case.batch * case.seq * shape.vocab))
    turn = _layers_by_priority(shape)
    return [sorted(turn[i : i + size]) for i in range(0, len(turn), size)]


def _layers_by_priority(shape: ModelShape) -> list[int]:
    return list(dict.fromkeys([shape.layers - 1, 0, shape.layers // 2, *range(shape.layers)]))


def _priority(spec: TensorSpec, shape: ModelShape) -> int:
    found = parse_name(spec.name)
    layer = None if found is None else found[1]
    return -1 if layer is None else _layers_by_priority(shape).index(layer)


def inner_activations(shape: ModelShape) -> list[TensorSpec]:
    """Return the activations that the model itself computes: all but the logit lens'."""
    return [s for s in all_activations(shape) if not s.name.endswith(LENS_KINDS)]
