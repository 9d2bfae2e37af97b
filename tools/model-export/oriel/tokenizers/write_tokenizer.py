"""The bundle's files of a tokenizer, and their record for the manifest."""

from __future__ import annotations

import json
from pathlib import Path

from oriel.contract.documents import TokenizerFiles
from oriel.tokenizers.checkpoint_files import CASES, CONFIG, TOKENIZER
from oriel.tokenizers.checkpoint_tokenizer import CheckpointTokenizer


def bundle_files(tokenizer: CheckpointTokenizer) -> dict[str, bytes]:
    """Bytes by name."""
    cases = [{"text": text, "ids": list(ids)} for text, ids in tokenizer.cases]
    return {
        TOKENIZER: tokenizer.text.encode("utf-8"),
        CONFIG: _json(tokenizer.config),
        CASES: _json({"cases": cases}),
    }


def _json(data: object) -> bytes:
    return (json.dumps(data, ensure_ascii=True, separators=(",", ":")) + "\n").encode()


def tokenizer_record(tokenizer: CheckpointTokenizer) -> TokenizerFiles:
    """Return the manifest's record."""
    record: TokenizerFiles = {
        "tokenizer": TOKENIZER,
        "config": CONFIG,
        "first_tokens": list(tokenizer.first_tokens),
        "cases": CASES,
        "origin": tokenizer.origin,
        "agreement": tokenizer.agreement.to_json(),
    }
    if tokenizer.last_tokens:
        record["last_tokens"] = list(tokenizer.last_tokens)
    if tokenizer.mask_token is not None:
        record["mask_token"] = tokenizer.mask_token
    return record


def write_tokenizer(tokenizer: CheckpointTokenizer, folder: Path) -> TokenizerFiles:
    """Write its files; their record."""
    for name, data in bundle_files(tokenizer).items():
        (folder / name).write_bytes(data)
    return tokenizer_record(tokenizer)
