"""Findings about a checkpoint's tokenizer: whether one can be made, whether it fits the model's
vocabulary, how it begins and ends a text, and its chat template."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from oriel.doctor.finding import Finding, refusal
from oriel.errors import CheckpointError
from oriel.models.end_tokens import read_end_tokens
from oriel.tokenizers.chat_template import chat_templates
from oriel.tokenizers.checkpoint_tokenizer import CheckpointTokenizer, read_checkpoint_tokenizer

_UNKNOWN_VOCABULARY = 2**31 - 1
_SHOWN = 80


def tokenizer_findings(
    folder: Path, vocab: int | None, eos: object
) -> tuple[list[Finding], Mapping[str, str]]:
    """Return the findings, and {name: chat template}. vocab: rows of the model, None where they
    aren't known; eos: eos_token_id of its config."""
    try:
        found = _opened(folder, vocab)
        if vocab is not None:
            ends = read_end_tokens(folder, eos, vocab)
            found += [Finding("tokenizer", "notice", text) for text in ends.notices]
        templates = chat_templates(folder)
    except CheckpointError as error:
        return [refusal("tokenizer", error)], {}
    for name, text in templates.items():
        found.append(_template_finding(name, text))
    return found, templates


def _opened(folder: Path, vocab: int | None) -> list[Finding]:
    made = read_checkpoint_tokenizer(folder, _UNKNOWN_VOCABULARY if vocab is None else vocab)
    if not isinstance(made, CheckpointTokenizer):
        return [
            Finding(
                "tokenizer",
                "notice",
                "the bundle will have no tokenizer, and the page take token ids",
                got=made.reason or "no file of one in the checkpoint",
                expected="a tokenizer that transformers opens",
                next_step="put the model's own tokenizer.json beside its weights.",
            )
        ]
    size = made.backend.get_vocab_size()
    rows = "" if vocab is None else f" for {vocab} rows of the model"
    first = f", {list(made.first_tokens)} before a text" if made.first_tokens else ""
    said = Finding(
        "tokenizer",
        "ok",
        f"{made.origin['class']} from {', '.join(made.origin['files'])}: {size} tokens{rows}{first}"
        f"; the written tokenizer.json agrees with transformers in "
        f"{made.agreement.texts - made.agreement.differing} of {made.agreement.texts} texts",
    )
    return [said, *(Finding("tokenizer", "notice", text) for text in made.notices)]


def _template_finding(name: str, text: str) -> Finding:
    start = " ".join(text.split())
    shown = start if len(start) <= _SHOWN else f"{start[:_SHOWN]}…"
    return Finding(
        "tokenizer",
        "notice",
        f"chat template {name!r}, {len(text)} characters: {shown!r}; it travels with the bundle, "
        "and the page writes conversations by it",
    )
