"""All tokens that end a text, as config.json and generation_config.json name them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from oriel.models.model_names import shown_name
from oriel.tokenizers.open_tokenizer import without_mark

MAX_END_TOKENS = 64
"""Largest number of end tokens, as in contracts/manifest.schema.json."""
_GENERATION = "generation_config.json"


@dataclass(frozen=True)
class EndTokens:
    """The end tokens that the model has rows for, in the order in which they are named."""

    ids: tuple[int, ...]
    notices: tuple[str, ...]
    """Notices about end tokens that are named but can't be used; shown at export."""


def read_end_tokens(folder: Path, of_config: object, vocab: int) -> EndTokens:
    """Return the end tokens that config.json and generation_config.json name. of_config:
    eos_token_id of config.json as transformers reads it. vocab: rows of the model."""
    named, notices = dict.fromkeys(_ids(of_config), "config.json"), []
    file = folder / _GENERATION
    if file.is_file():
        try:
            found = json.loads(without_mark(file.read_bytes()))["eos_token_id"]
        except KeyError:
            found = None
        except (OSError, ValueError, RecursionError, TypeError):
            found = None
            notices.append(
                f"{_GENERATION} in {shown_name(folder)} can't be read, so the end tokens that it "
                "may name aren't known: download it again and export again."
            )
        for token in _ids(found):
            named.setdefault(token, _GENERATION)
    known = tuple(token for token in named if token < vocab)
    dropped = [f"{token} in {name}" for token, name in named.items() if token >= vocab]
    if dropped:
        rest = (
            f"Texts end at {', '.join(map(str, known))}."
            if known
            else "Generation then ends at no token, only at its length: to end it at one, correct "
            "eos_token_id there and export again."
        )
        notices.append(
            f"An end token is named that the model, of {vocab} rows, has no row for: "
            f"{' and '.join(dropped[:3])}. {rest}"
        )
    return EndTokens(known[:MAX_END_TOKENS], tuple(notices))


def _ids(value: object) -> list[int]:
    """Return the ids in an entry that holds one or several; -1 and null mean that there is none."""
    values = value if isinstance(value, (list, tuple)) else [value]
    return [v for v in values if isinstance(v, int) and not isinstance(v, bool) and v >= 0]
