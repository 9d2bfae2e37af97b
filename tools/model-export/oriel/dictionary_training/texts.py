"""Chooses the text that a dictionary is trained on, and a different text to measure it on."""

from __future__ import annotations

from pathlib import Path

from oriel.dashboards.generated_corpus import generated_documents, generated_parts, has_generator
from oriel.lens_fitting.texts import (
    LensTexts,
    RawTexts,
    TextReader,
    TextSizes,
    texts_of_file,
    tokenized_texts,
)
from oriel.models.demo.bundled_text import held_out_passages, training_passages

HELD_OUT_TOKENS = 16384


def choose_texts(reader: TextReader, file: Path | None, tokens: int) -> LensTexts:
    """Choose passages from a file with one passage on each line; else text of the bundled model's
    kind: as much as is wanted where its generator is here, else its 400 bundled passages.

    tokens: maximum number to train on. Raises OptionError if the text is too short or is text that
    the tokenizer doesn't know.
    """
    texts = _bundled(tokens) if file is None else texts_of_file(file)
    sizes = TextSizes(tokens, HELD_OUT_TOKENS)
    return tokenized_texts(reader, texts, sizes, "train a dictionary")


def _bundled(tokens: int) -> RawTexts:
    """Return text of the kind that the bundled model was trained on. None of the held-out text is
    ever generated for training."""
    held_out = held_out_passages()
    name = "bundled corpus, held-out passages"
    if not has_generator():
        return RawTexts(training_passages(), held_out, ("bundled corpus, training passages", name))
    documents = [text for part in generated_parts(tokens) for text in generated_documents(part)]
    return RawTexts(documents, held_out, ("generated corpus, training documents", name))
