"""Chooses the text that a lens is fitted to, or a dictionary trained on, and a different text to
measure it on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer

from oriel.bundle.passages import (
    Cutting,
    Passages,
    Tokenized,
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


@dataclass(frozen=True)
class TextReader:
    """How a model reads texts."""

    tokenizer: Tokenizer
    start: tuple[int, ...]
    """Tokens before each text."""
    longest: int
    """Maximum number of tokens of a passage."""
    vocab: int
    """Rows of the model."""


@dataclass(frozen=True)
class RawTexts:
    """Texts before they are tokenized."""

    fitting: Sequence[str]
    held_out: Sequence[str]
    names: tuple[str, str]
    """Names of both for the description."""
    file: Path | None = None
    """The user's file that they are from; None for text of this program."""


def choose_texts(model: LoadedModel, file: Path | None, sizes: TextSizes) -> LensTexts:
    """Choose passages from a file with one passage on each line, or from the bundled corpus. Raises
    OptionError if the model has no tokenizer or the text is too short."""
    if file is None:
        parts = training_passages(), held_out_passages()
        names = "bundled corpus, training passages", "bundled corpus, held-out passages"
        texts = RawTexts(*parts, names)
    else:
        texts = texts_of_file(file)
    return tokenized_texts(reader_of(model, "a lens is fitted to"), texts, sizes, "fit a lens")


def texts_of_file(file: Path) -> RawTexts:
    """Return a user's text, one passage a line, of which every tenth is held out. Raises
    OptionError where it can't be read."""
    texts = read_text(file, "--text")
    held_out = texts[_HELD_OUT - 1 :: _HELD_OUT]
    fitting = [text for at, text in enumerate(texts) if at % _HELD_OUT != _HELD_OUT - 1]
    name = file.name[:200]
    names = f"{name}, training passages", f"{name}, held-out passages"
    return RawTexts(fitting, held_out, names, file)


def tokenized_texts(
    reader: TextReader, texts: RawTexts, sizes: TextSizes, purpose: str
) -> LensTexts:
    """Return both texts as tokens. purpose: words for errors, such as "fit a lens". Raises
    OptionError if one is too short, or is text that the tokenizer doesn't know."""
    found = []
    for part, name, passages, most in (
        ("training", texts.names[0], texts.fitting, sizes.fitting),
        ("held-out", texts.names[1], texts.held_out, sizes.held_out),
    ):
        cutting = Cutting(reader.start, reader.longest, most)
        read = (tokenize_corpus if texts.file is None else tokenize)(
            passages, reader.tokenizer, cutting, reader.vocab
        )
        reason = _unfit_reason(read, reader, texts.file)
        made = Passages(name, read.ids)
        if reason is not None or made.tokens < MIN_TOKENS:
            raise OptionError(
                f"there is too little {part} text to {purpose}",
                got=reason or f"{made.tokens} tokens",
                expected=f"{MIN_TOKENS} tokens at least",
                next_step="give more with --text, a passage a line, twenty lines at least.",
            )
        found.append(made)
    return LensTexts(*found)


def _unfit_reason(read: Tokenized, reader: TextReader, file: Path | None) -> str | None:
    """Return why this program's own text can't be used, or None. Raises OptionError for a user's
    text that the tokenizer doesn't know."""
    if file is None:
        return corpus_unfit_reason(read, reader.vocab)
    instead = "the bundled corpus is read"
    unfit = unfit_text("--text", file, read, reader.tokenizer, reader.vocab, instead)
    if unfit is not None:
        raise unfit
    return None


def reader_of(model: LoadedModel, purpose: str) -> TextReader:
    """Return how a model reads texts. purpose: words for errors, such as "a lens is fitted to".
    Raises OptionError if it has no tokenizer."""
    own = model.tokenizer
    if not isinstance(own, CheckpointTokenizer):
        raise OptionError(
            f"{purpose} text, and this model has no tokenizer",
            got=own.reason if hasattr(own, "reason") else model.name,
            next_step="add the tokenizer's files to the checkpoint.",
        )
    begins = token_id(model.spec.config.bos_token_id, model.shape.vocab)
    start = start_of_passages(own.first_tokens, begins, model.end_tokens.ids)
    longest = min(model.shape.context_length, MAX_PASSAGE_TOKENS)
    return TextReader(own.backend, start, longest, model.shape.vocab)
