"""The tokens before a passage of text that a model is measured or calibrated on."""

from __future__ import annotations

from collections.abc import Collection

from oriel.contract.documents import ManifestDocument


def passage_start(manifest: ManifestDocument) -> tuple[int, ...]:
    """Return these tokens from a manifest's data. A manifest before 1.2 only tells the token that
    begins a text."""
    model, tokenizer = manifest["model"], manifest.get("tokenizer")
    begins = model.get("bos_token_id")
    if begins is not None and not 0 <= begins < model["shape"]["vocab"]:
        begins = None
    if tokenizer is None or "first_tokens" not in tokenizer:
        return () if begins is None else (begins,)
    ends = model.get("end_token_ids", [model.get("eos_token_id")])
    return start_of_passages(tokenizer["first_tokens"], begins, ends)


def start_of_passages(
    first_tokens: Collection[int], begins: int | None, ends: Collection[int | None]
) -> tuple[int, ...]:
    """Return the tokens that the checkpoint's tokenizer puts before every text.

    Where it puts nothing and the token that begins a text also ends one, as GPT-2's <|endoftext|>,
    return that token: a passage is a whole text, and in training each came after it. The page and
    the first pass put nothing there then, since a reader's text may begin anywhere.
    """
    if first_tokens:
        return tuple(first_tokens)
    return (begins,) if begins is not None and begins in ends else ()
