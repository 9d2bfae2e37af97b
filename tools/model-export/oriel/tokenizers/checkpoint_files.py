"""Names of the files in which checkpoints keep their tokenizers."""

from __future__ import annotations

from pathlib import Path

from oriel.errors import CheckpointError

TOKENIZER = "tokenizer.json"
CONFIG = "tokenizer_config.json"
CASES = "tokenizer_cases.json"
SETTINGS = (CONFIG, "special_tokens_map.json", "added_tokens.json")
"""Files of settings for a vocabulary; none of them is a vocabulary itself."""
TEMPLATE = "chat_template.jinja"
"""The chat template, where it has a file of its own."""
SENTENCEPIECE = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model")
VOCABULARIES = (TOKENIZER, *SENTENCEPIECE, "vocab.json", "merges.txt", "vocab.txt")
"""Files that may hold a vocabulary, the whole tokenizer first."""
ALL = (*VOCABULARIES, *SETTINGS)
_UNREAD = ("tekken.json", "encoder.json", "vocab.bpe", "*.tiktoken", "tokenizer.model.v*", "*.spm")
"""Vocabularies of other programs, which transformers doesn't open in a model's folder."""
_JSON = (TOKENIZER, *SETTINGS)
_MAX_BYTES = 256 * 1024 * 1024
"""Bytes of one file: several times the largest vocabulary that a model has today."""


def tokenizer_files(folder: Path) -> list[Path]:
    """Return the folder's files that describe its tokenizer; none where no vocabulary is among
    them."""
    if not any((folder / name).is_file() for name in VOCABULARIES):
        return []
    return [folder / name for name in ALL if (folder / name).is_file()]


def check_sizes(files: list[Path]) -> None:
    """Raise CheckpointError for a file that is too large to be part of a tokenizer."""
    for file in files:
        size = file.stat().st_size
        if size > _MAX_BYTES:
            raise CheckpointError(
                f"{file.name} in {file.parent.name} is too large for a tokenizer",
                got=f"{size:,} bytes",
                expected=f"at most {_MAX_BYTES:,}",
                next_step="take it out of the folder, or download the checkpoint again.",
            )


def unread_files(folder: Path) -> list[Path]:
    """Return files that hint at a tokenizer where there is no vocabulary that could be opened."""
    settings = [folder / name for name in SETTINGS if (folder / name).is_file()]
    others = [file for pattern in _UNREAD for file in sorted(folder.glob(pattern))]
    return [*others, *settings]


def json_files(folder: Path) -> list[Path]:
    """Return the tokenizer's files that hold a JSON object each."""
    return [file for file in tokenizer_files(folder) if file.name in _JSON]


def wanted_files(names: list[str]) -> list[str]:
    """Return the names of a repository's files to download: settings, and the whole tokenizer or,
    where there is none, the files that it can be made of."""
    vocabularies = [TOKENIZER] if TOKENIZER in names else list(VOCABULARIES)
    return [name for name in (*vocabularies, *SETTINGS, TEMPLATE) if name in names]
