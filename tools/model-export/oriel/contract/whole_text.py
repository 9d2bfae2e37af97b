"""What a manifest says of feeding a whole text: the tokens around it, and the position that is
predicted in a model without a cache."""

from __future__ import annotations

from collections.abc import Sequence

from oriel.contract.documents import ManifestDocument


def around(data: ManifestDocument, ids: Sequence[int]) -> list[int]:
    """Return a text's ids with those that its tokenizer puts before it, and after it where the
    model continues no text."""
    files = data.get("tokenizer")
    if files is None:
        return list(ids)
    goes_on = not data["model"]["shape"].get("bidirectional", False)
    first, last = files.get("first_tokens", ()), files.get("last_tokens", ())
    return [*map(int, first), *ids, *(() if goes_on else map(int, last))]


def _mask_token(data: ManifestDocument) -> int | None:
    """Return the token that stands for a word to be found; None where the model continues texts, or
    has none."""
    if not data["model"]["shape"].get("bidirectional", False):
        return None
    return data.get("tokenizer", {}).get("mask_token")


def predicted_position(data: ManifestDocument, ids: Sequence[int]) -> int:
    """Return the position whose logits are shown: the last one, and in a model without a cache that
    of the first mask token, where there is one, else the last one of the text itself. Logits of
    whole texts have one row, 0."""
    if data["model"]["shape"].get("pooled", False):
        return 0
    mask = _mask_token(data)
    if mask is not None and mask in ids:
        return list(ids).index(mask)
    behind = around(data, ())[len(data.get("tokenizer", {}).get("first_tokens", ())) :]
    ended = len(behind) < len(ids) and list(ids[len(ids) - len(behind) :]) == behind
    return len(ids) - 1 - (len(behind) if ended else 0)
