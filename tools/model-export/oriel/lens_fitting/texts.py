"""Chooses the text that a lens is fitted to, and a different text to measure it on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from oriel.bundle.passages import (
    Cutting,
    Passages,
    corpus_unfit_reason,
    read_text,
    tokenize,
    tokenize_corpus,
    unfit_text,
)
from oriel.bundle.write_bundle import token_id
from oriel.errors import OptionError
from oriel.models.demo.bundled_text import held_out_passages, training_passages
from oriel.models.load_model import LoadedModel
from oriel.tokenizers.checkpoint_tokenizer import CheckpointTokenizer
from oriel.tokenizers.passage_start import start_of_passages

MIN_TOKENS = 64
MAX_PASSAGE_TOKENS = 128
_HELD_OUT = 10
"""Every tenth passage of a user's file is held out for measuring."""


@dataclass(frozen=True)
class LensTexts:
    """The text to fit to, and the held-out text to measure on."""

    fitting: Passages
    held_out: Passages


@dataclass(frozen=True)
class TextSizes:
    """Maximum number of tokens of each text."""

    fitting: int = 16384
    held_out: int = 4096


def choose_texts(model: LoadedModel, file: Path | None, sizes: TextSizes) -> LensTexts:
    """Choose passages from a file with one passage on each line, or from the bundled corpus. Raises
    OptionError if the model has no tokenizer or the text is too short."""
    tokenizer, cut = _reader(model, sizes)
    if file is None:
        fitting, held_out = training_passages(), held_out_passages()
        name = "bundled corpus, {} passages"
    else:
        texts = read_text(file, "--text")
        held_out = tuple(texts[_HELD_OUT - 1 :: _HELD_OUT])
        fitting = tuple(t for at, t in enumerate(texts) if at % _HELD_OUT != _HELD_OUT - 1)
        name = f"{file.name[:200]}, {{}} passages"
    found = []
    for part, passages, most in (
        ("training", fitting, sizes.fitting),
        ("held-out", held_out, sizes.held_out),
    ):
        cutting = Cutting(cut.start, cut.longest, most)
        vocab = model.shape.vocab
        read = (
            tokenize_corpus(passages, tokenizer, cutting, vocab)
            if file is None
            else tokenize(passages, tokenizer, cutting, vocab)
        )
        made = Passages(name.format(part), read.ids)
        if file is None:
            reason = corpus_unfit_reason(read, vocab)
        else:
            unfit = unfit_text("--text", file, read, tokenizer, vocab, "the bundled corpus is read")
            if unfit is not None:
                raise unfit
            reason = None
        if reason is not None or made.tokens < MIN_TOKENS:
            raise OptionError(
                f"there is too little {part} text to fit a lens",
                got=reason or f"{made.tokens} tokens",
                expected=f"{MIN_TOKENS} tokens at least",
                next_step="give more with --text, a passage a line, twenty lines at least.",
            )
        found.append(made)
    return LensTexts(*found)


def _reader(model: LoadedModel, sizes: TextSizes) -> tuple[Tokenizer, Cutting]:
    own = model.tokenizer
    if not isinstance(own, CheckpointTokenizer):
        raise OptionError(
            "a lens is fitted to text, and this model has no tokenizer",
            got=own.reason if hasattr(own, "reason") else model.name,
            next_step="add the tokenizer's files to the checkpoint.",
        )
    begins = token_id(model.spec.config.bos_token_id, model.shape.vocab)
    start = start_of_passages(own.first_tokens, begins, model.end_tokens.ids)
    longest = min(model.shape.context_length, MAX_PASSAGE_TOKENS)
    return own.backend, Cutting(start, longest, sizes.fitting)
