"""Greedy generation: by transformers itself, and step by step through an exported decoder, which
needs no transformers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Step = Callable[..., Any]
"""Takes input_ids, attention_mask, position_ids and past_key_values, and returns a dict."""


def padded_texts(vocab: int) -> tuple[Tensor, Tensor]:
    """Return token ids of two texts of 4 and 6 tokens, padded on the left, and their mask."""
    draw = torch.Generator().manual_seed(3)
    ids = torch.randint(2, vocab, (2, 6), generator=draw)
    mask = torch.ones_like(ids)
    ids[0, :2], mask[0, :2] = 0, 0
    return ids, mask


def generated(model: PreTrainedModel, ids: Tensor, mask: Tensor, count: int) -> list[list[int]]:
    """Return the tokens that transformers' own `generate` adds."""
    generate: Any = model.generate
    found = generate(
        ids,
        attention_mask=mask,
        do_sample=False,
        max_new_tokens=count,
        min_new_tokens=count,
        eos_token_id=None,
        pad_token_id=0,
    )
    added: list[list[int]] = found[:, ids.shape[1] :].tolist()
    return added


def empty_past(layers: int, *sizes: int) -> list[dict[str, Tensor]]:
    """Return a past of no tokens. sizes: batch, heads of keys, size of a head."""
    batch, heads, size = sizes
    return [
        {name: torch.zeros(batch, heads, 0, size) for name in ("key", "value")}
        for _ in range(layers)
    ]


def stepped(step: Step, past: object, start: tuple[Tensor, Tensor], count: int) -> list[list[int]]:
    """Return the tokens that a decoder's file adds: one run over the texts, then one for each
    token. start: as padded_texts returns it."""
    ids, mask = start
    added: list[Tensor] = []
    for _ in range(count):
        places = (mask.cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        found = step(ids, mask, places, past)
        ids, past = found["logits"][:, -1:].argmax(-1), found["present"]
        mask = torch.cat([mask, torch.ones_like(ids)], 1)
        added.append(ids)
    tokens: list[list[int]] = torch.cat(added, 1).tolist()
    return tokens
