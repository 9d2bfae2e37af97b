"""A model that generates text as a module of tensors: one step, from tokens and a past of keys and
values to logits and the keys and values of past and tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict

import torch
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from oriel.errors import ArchitectureError, reason_of

PairOf = Mapping[str, Tensor]
"""{"key": …, "value": …} of a layer, each (batch, kv_heads, length, head_dim)."""


class StepOutput(TypedDict):
    """The result of a step."""

    logits: Tensor
    """(batch, seq, vocab), float32."""
    present: list[PairOf]
    """One for each layer, with a length of past + seq."""


class DecoderStep(nn.Module):
    """Runs a causal language model on a past that is handed in, and hands out the longer one."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        position_ids: Tensor | None,
        past_key_values: Sequence[PairOf],
    ) -> StepOutput:
        """Return the logits of the tokens, and the past of the next step.

        input_ids and position_ids (batch, seq), attention_mask (batch, past + seq), all int64, the
        mask 0 at padding; past_key_values: a pair of each layer, of any length, 0 too.
        """
        cache = DynamicCache()
        cache.layers = [_filled(pair) for pair in past_key_values]
        placed = {} if position_ids is None else {"position_ids": position_ids}
        output = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            past_key_values=cache,
            use_cache=True,
            **placed,
        )
        layers = output.past_key_values.layers
        present: list[PairOf] = [{"key": layer.keys, "value": layer.values} for layer in layers]
        return {"logits": output.logits, "present": present}


def _filled(pair: PairOf) -> DynamicLayer:
    """Return a layer of a cache with a past. It keeps all of that, whatever window the model has,
    so that lengths are the same in all layers; the mask hides what lies before a window. The
    cache's own way to be filled joins the past to an empty vector first, which OpenVINO doesn't
    convert."""
    make: Callable[[], DynamicLayer] = DynamicLayer
    layer = make()
    layer.keys, layer.values = pair["key"], pair["value"]
    layer.dtype, layer.device = pair["key"].dtype, pair["key"].device
    layer.is_initialized = True
    return layer


@dataclass(frozen=True)
class CacheShape:
    """Sizes of the keys and of the values in each layer's cache."""

    layers: tuple[tuple[tuple[int, int], tuple[int, int]], ...]
    """For each layer (kv_heads, head_dim) of the keys, and of the values."""

    def empty(self, batch: int) -> list[PairOf]:
        """Return a past of no tokens."""
        return [
            {
                "key": torch.zeros(batch, keys[0], 0, keys[1]),
                "value": torch.zeros(batch, values[0], 0, values[1]),
            }
            for keys, values in self.layers
        ]


_PROBED = 2


def cache_shape(model: PreTrainedModel) -> CacheShape:
    """Return what a run of the model shows of its cache. Raises ArchitectureError for a model that
    keeps anything else than keys and values, one pair a layer."""
    name = type(model).__name__
    try:
        with torch.no_grad():
            found = model(torch.zeros(1, _PROBED, dtype=torch.long), use_cache=True)
    except Exception as error:
        # Code of transformers on a stranger's config may raise any class of exception.
        raise ArchitectureError(f"{name} fails on two tokens", got=reason_of(error)) from error
    cache = getattr(found, "past_key_values", None)
    if not isinstance(cache, DynamicCache):
        raise _other_cache(name, type(cache).__name__)
    layers = [
        (_heads(getattr(layer, "keys", None), name), _heads(getattr(layer, "values", None), name))
        for layer in cache.layers
    ]
    if not layers:
        raise _other_cache(name, "no layers")
    return CacheShape(tuple(layers))


def _heads(part: object, name: str) -> tuple[int, int]:
    """Return the number of heads and their size of a layer's keys or values."""
    if not isinstance(part, Tensor) or part.dim() != 4 or part.shape[2] != _PROBED:
        got = list(part.shape) if isinstance(part, Tensor) else type(part).__name__
        raise _other_cache(name, f"{got} for {_PROBED} tokens in it")
    return part.shape[1], part.shape[3]


def _other_cache(name: str, got: str) -> ArchitectureError:
    return ArchitectureError(
        f"{name} has another cache than keys and values",
        got="none" if got == "NoneType" else got,
        expected="keys and values of each layer, (batch, heads, length, size)",
        next_step="write a spec file that builds the model: docs/modules.md.",
    )
