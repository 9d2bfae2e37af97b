"""Trains the demo model's byte-level BPE tokenizer on the corpus, writes it, and reads it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from story_gpt2.corpus import training_documents
from story_gpt2.vocabulary import (
    ADJECTIVES,
    ALL_NOUNS,
    COLOURS,
    DAYS,
    MONTHS,
    NAMES,
    NUMBER_WORDS,
    TRAITS,
)
from story_gpt2.word_forms import plural

END_OF_TEXT = "<|endoftext|>"
END_OF_TEXT_ID = 0
VOCABULARY_SIZE = 4096
_DOCUMENTS = 60_000


def _training_text(seed: int) -> Iterator[str]:
    """Yield corpus documents, then each listed word often enough to become one token."""
    for _, text in islice(training_documents(seed), _DOCUMENTS):
        yield text
    nouns = [form for noun in ALL_NOUNS for form in (noun, plural(noun))]
    words = [*(name.text for name in NAMES), *nouns, *ADJECTIVES, *TRAITS, *COLOURS, *DAYS]
    words += [*MONTHS, *NUMBER_WORDS]
    for word in words:
        yield f" {word}" * 150
    for name in NAMES:
        yield f"{name.text}\n" * 60


def train_tokenizer(seed: int) -> Tokenizer:
    """Train a GPT-2 style tokenizer: byte-level BPE, no normalizer, template or prefix space."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_training_text(seed), trainer)
    split = [n.text for n in NAMES if len(tokenizer.encode(f" {n.text}").ids) != 1]
    if split:
        raise RuntimeError(f"each name must be one token after a space, but these are not: {split}")
    return tokenizer


def write_tokenizer(tokenizer: Tokenizer, folder: Path) -> None:
    """Write ``tokenizer.json`` and ``tokenizer_config.json``."""
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {
        "add_prefix_space": False,
        "bos_token": END_OF_TEXT,
        "clean_up_tokenization_spaces": False,
        "eos_token": END_OF_TEXT,
        # Without this entry, transformers 4 feeds token_type_ids too, and GPT-2 adds the
        # embedding of token 0 to every position for them.
        "model_input_names": ["input_ids", "attention_mask"],
        "model_max_length": 256,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    text = json.dumps(config, indent=2) + "\n"
    (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")


def read_tokenizer(folder: Path) -> Tokenizer:
    """Read the tokenizer of a folder written by ``write_tokenizer``."""
    return Tokenizer.from_file(str(folder / "tokenizer.json"))
