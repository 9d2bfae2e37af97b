"""Sizes of models in which each head has a key and a value of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oriel.contract.activation_names import ModelShape

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


def plain_shape(config: PreTrainedConfig, intermediate: int) -> ModelShape:
    """Return the sizes, where heads share the width evenly; `intermediate` is the MLP's width. What
    a config says of grouped keys or of a head's width is left unread, as by such a model itself."""
    heads = config.num_attention_heads
    return ModelShape(
        layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        heads=heads,
        kv_heads=heads,
        head_dim=config.hidden_size // heads,
        intermediate=intermediate,
        vocab=config.vocab_size,
        context_length=config.max_position_embeddings,
    )
