"""The default corpus of the bundled model: text of the kind that it was trained on, which
examples/story_gpt2 writes while it is read, each shard from a seed of its own."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

from oriel.dashboards.corpus_files import CorpusFile
from oriel.dashboards.formats import SHARD_BYTES, Part
from oriel.errors import OptionError

GENERATED = "generated"
DEFAULT_TOKENS = 1_000_000
_FIRST_SEED = 1000
"""Seeds far from those of training and of the bundled passages."""
_CHARACTERS_A_TOKEN = 6
"""More than the bundled tokenizer's have on average, so that there is always enough text."""
_FOLDER = Path(__file__).resolve().parents[4] / "examples" / "story_gpt2"


def has_generator() -> bool:
    """Return whether the generator is here; an installed package doesn't have it."""
    return (_FOLDER / "story_gpt2" / "corpus.py").is_file()


def generated_parts(tokens: int | None) -> tuple[Part, ...]:
    """Return shards of as much text as so many tokens need. Raises OptionError where the generator
    isn't here: an installed package doesn't have it."""
    _writer()
    characters = (tokens or DEFAULT_TOKENS) * _CHARACTERS_A_TOKEN
    count = -(-characters // SHARD_BYTES)
    file = CorpusFile(GENERATED, 0)
    return tuple(
        Part(GENERATED, file, _FIRST_SEED + at, _FIRST_SEED + at + 1, SHARD_BYTES)
        for at in range(count)
    )


def generated_documents(part: Part) -> Iterator[str]:
    """Yield documents of the shard's seed until there are enough."""
    written = 0
    for _, text in _writer()(part.begin):
        yield text
        written += len(text)
        if written >= part.size:
            return


def _writer() -> Callable[[int], Iterator[tuple[str, str]]]:
    """Return the function that yields (kind, text) of a seed for ever."""
    try:
        module = importlib.import_module("story_gpt2.corpus")
    except ImportError:
        if not has_generator():
            raise OptionError(
                "the bundled model's generator isn't here",
                expected="a copy of the repository, with examples/story_gpt2",
                next_step="name a corpus with --corpus.",
            ) from None
        sys.path.append(str(_FOLDER))
        module = importlib.import_module("story_gpt2.corpus")
    return cast(Callable[[int], Iterator[tuple[str, str]]], module.training_documents)
