"""Chooses the text on which fidelity is measured: the user's, the bundled corpus' held-out
passages, or, where a model's tokenizer knows too little of them or there is none, text that the
model writes itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from oriel.arrays import Array
from oriel.bundle.passages import (
    Cutting,
    Passages,
    corpus_unfit_reason,
    read_text,
    tokenize,
    tokenize_corpus,
    unfit_text,
)
from oriel.contract.activation_names import ModelShape
from oriel.contract.manifest import Manifest
from oriel.errors import BundleError, OptionError
from oriel.fidelity.run_variant import VariantRun
from oriel.models.demo.bundled_text import held_out_passages
from oriel.runtime.onnx_graph import past_from
from oriel.tokenizers.open_tokenizer import open_tokenizer
from oriel.tokenizers.passage_start import passage_start

MIN_TOKENS = 100
"""Least number of tokens: a 99th percentile of fewer positions is their largest."""
MAX_PASSAGE_TOKENS = 256
_OWN_PASSAGES = 8
_OWN_LENGTH = 64
_LENGTH_IN_PARTS = 16
"""Tokens of a text of a model that is run in parts: each token reads all of its weights anew."""
_SEED = 20


@dataclass(frozen=True)
class Effort:
    """Limits of the data that is compared, and so of time, memory and temporary files."""

    tokens: int = 4096
    logits: int = 128 * 1024 * 1024
    """Largest count of logits kept: 512 MiB on disk."""
    activations: int = 96 * 1024 * 1024
    """Largest count of activation values kept, 384 MiB on disk; the first passage's always are."""
    lens: bool = True
    """True to read the logit lens as well, for which every layer computes its own logits."""

    def passage_tokens(self, shape: ModelShape) -> int:
        """Return the largest number of tokens of a passage: attention grows with their square."""
        by_attention = math.isqrt(self.activations // (2 * shape.layers * shape.heads))
        return max(1, min(shape.context_length, MAX_PASSAGE_TOKENS, by_attention))

    def total_tokens(self, shape: ModelShape) -> int:
        """Return the largest number of tokens of all passages together."""
        return max(MIN_TOKENS, min(self.tokens, self.logits // shape.vocab))


def choose_text(
    manifest: Manifest,
    folder: Path,
    file: Path | None,
    effort: Effort,
    open_trunk: Callable[[], VariantRun],
) -> Passages:
    """Choose the text. open_trunk: opens the fp32 model, which writes the text where no tokenizer
    reads one.

    Raises OptionError where the user's text is unfit, BundleError where the bundle can't read any.
    """
    shape = manifest.shape
    cutting = Cutting(
        passage_start(manifest.data), effort.passage_tokens(shape), effort.total_tokens(shape)
    )
    files = manifest.data.get("tokenizer")
    if files is None:
        if file is not None:
            raise OptionError(
                "--text can't be read by a model without a tokenizer",
                got=str(file),
                next_step="leave it out: the model then writes a text itself.",
            )
        return own_text(open_trunk(), shape, cutting)
    tokenizer = open_tokenizer(folder / files["tokenizer"])
    if file is not None:
        found = tokenize(read_text(file, "--text"), tokenizer, cutting, shape.vocab)
        given = _long_enough(Passages(file.name[:256], found.ids), file)
        instead = "the model then writes a text itself"
        unfit = unfit_text("--text", file, found, tokenizer, shape.vocab, instead)
        if unfit is not None:
            raise unfit
        return given
    found = tokenize_corpus(held_out_passages(), tokenizer, cutting, shape.vocab)
    corpus = Passages("the bundled corpus, held-out passages", found.ids)
    reason = corpus_unfit_reason(found, shape.vocab)
    if reason is None and corpus.tokens >= MIN_TOKENS:
        return corpus
    # English is unknown tokens to a model of chess moves, and it predicts only more of them.
    return own_text(open_trunk(), shape, cutting, reason)


def _long_enough(passages: Passages, file: Path) -> Passages:
    if passages.tokens < MIN_TOKENS:
        raise OptionError(
            "--text is too short",
            got=f"{passages.tokens} tokens in {file}",
            expected=f"at least {MIN_TOKENS}, in lines of at least 2",
            next_step="add passages, or leave it out for the bundled corpus.",
        )
    return passages


def own_text(
    trunk: VariantRun, shape: ModelShape, cutting: Cutting, reason: str | None = None
) -> Passages:
    """Sample how the fp32 model continues random tokens: text that it expects to read. A model
    that continues no text gives random tokens.

    reason: why no other text was used, added to the text's name.
    """
    # Passages stay as many: each of them is a run, too.
    length = min(_LENGTH_IN_PARTS if trunk.graph.in_parts else _OWN_LENGTH, cutting.longest)
    count = max(1, min(_OWN_PASSAGES, cutting.tokens // length))
    rng = np.random.default_rng(_SEED)
    ids = rng.integers(0, shape.vocab, (count, length if shape.bidirectional else 1))
    past: dict[str, Array] | None = None
    names = ["logits", *(n for n in trunk.graph.outputs if n.startswith("present."))]
    while ids.shape[1] < length:
        found = trunk.run(ids[:, -1:], names, past)
        past = past_from(found, shape, ids.shape[1])
        logits = found["logits"][:, -1].astype(np.float64)
        # The Gumbel-max trick: the largest of logits with such noise is a draw from the softmax.
        drawn = (logits + rng.gumbel(size=logits.shape)).argmax(axis=-1)
        ids = np.concatenate([ids, drawn[:, None]], axis=1)
    if length < 2:
        raise BundleError(
            "the model reads one token at most, so there is nothing to predict",
            next_step="fidelity needs a context of two tokens.",
        )
    made = "random tokens" if shape.bidirectional else "text that the model wrote itself"
    name = made + ("" if reason is None else f", as {reason}")
    return Passages(name, tuple(ids.astype(np.int64)))
