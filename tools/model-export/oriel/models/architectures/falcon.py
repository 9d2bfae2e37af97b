"""Falcon: blocks that are mostly parallel, rotary positions or ALiBi, and one matrix for queries,
keys and values, which heads may share in groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from oriel.contract.activation_names import ModelShape
from oriel.errors import ArchitectureError
from oriel.models.architectures.alibi import alibi_slopes, key_positions
from oriel.models.architectures.architecture import Architecture
from oriel.models.architectures.fused_heads import split_groups
from oriel.models.architectures.interface import InterfaceAttention
from oriel.models.architectures.llama import check_rotary
from oriel.models.architectures.replaced import ReplacedModule

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedConfig
    from transformers.cache_utils import Cache


def _groups(config: PreTrainedConfig) -> int:
    """Return the number of groups of heads that share a key and a value."""
    if config.new_decoder_architecture:
        return int(config.num_kv_heads)
    return 1 if config.multi_query else int(config.num_attention_heads)


def _rounded(values: Tensor) -> Tensor:
    """Return values as bfloat16 holds them, as float32."""
    return values.to(torch.bfloat16).to(torch.float32)


def _alibi(config: PreTrainedConfig, mask: Tensor) -> Tensor:
    """Return what is added to scores, (batch or 1, heads, 1, total): ALiBi, computed in bfloat16
    and scaled like the products, as transformers has it."""
    slopes = _rounded(alibi_slopes(config.num_attention_heads))[:, None, None]
    added = _rounded(slopes * _rounded(key_positions(mask)))
    scale: float = config.head_dim**-0.5
    return added * scale


def _turn(states: Tensor, angles: tuple[Tensor, Tensor]) -> Tensor:
    """Turn each dimension of (batch, heads, seq, head_dim) with the one half a head further."""
    cosine, sine = (part[:, None] for part in angles)
    first, second = states.chunk(2, dim=-1)
    return states * cosine + torch.cat([-second, first], dim=-1) * sine


class _Attention(InterfaceAttention):
    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor,
        position_embeddings: tuple[Tensor, Tensor],
        layer_past: Cache | None = None,
        **_: object,
    ) -> tuple[Tensor, Tensor]:
        config = self.config
        groups = _groups(config)
        queries = config.num_attention_heads // groups
        fused = self.by("query_key_value", hidden_states)
        query, key, value = split_groups(fused, groups, queries)
        if config.new_decoder_architecture:
            # transformers caches the keys and values of each head.
            key, value = (part.repeat_interleave(queries, dim=1) for part in (key, value))
        added = None
        if config.alibi:
            added = _alibi(config, attention_mask)
        else:
            query, key = _turn(query, position_embeddings), _turn(key, position_embeddings)
        states = query, key, value
        mix, probs = self.attend(states, layer_past, attention_mask, alibi=added)
        return self.by("dense", mix), probs


class _Block(ReplacedModule):
    """transformers' own adds attention's output to the MLP's in place, where that was captured."""

    def __init__(self, own: nn.Module, config: PreTrainedConfig) -> None:
        super().__init__(own)
        self.config = config

    def forward(self, hidden_states: Tensor, **arguments: object) -> tuple[Tensor, Tensor]:
        norms = dict(self.named_children())
        first = "ln_attn" if "ln_attn" in norms else "input_layernorm"
        normed = self.by(first, hidden_states)
        mixed, probs = self.get_submodule("self_attention")(normed, **arguments)
        if not _is_parallel(self.config):
            middle = hidden_states + mixed
            return middle + self.by("mlp", self.by("post_attention_layernorm", middle)), probs
        if "ln_mlp" in norms:
            normed = self.by("ln_mlp", hidden_states)
        return hidden_states + (self.by("mlp", normed) + mixed), probs


def _is_parallel(config: PreTrainedConfig) -> bool:
    return bool(config.new_decoder_architecture or config.parallel_attn)


def _shape(config: PreTrainedConfig) -> ModelShape:
    heads = config.num_attention_heads
    return ModelShape(
        layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        heads=heads,
        kv_heads=heads if config.new_decoder_architecture else _groups(config),
        head_dim=config.head_dim,
        intermediate=config.ffn_hidden_size,
        vocab=config.vocab_size,
        context_length=config.max_position_embeddings,
        parallel_residual=_is_parallel(config),
    )


def _check_config(config: PreTrainedConfig) -> None:
    if not config.alibi:
        check_rotary(config)
    norms, new = config.num_ln_in_parallel_attn, config.new_decoder_architecture
    wrong = None
    if new and not config.parallel_attn:
        wrong = "parallel_attn: false with new_decoder_architecture: true"
    elif not new and config.parallel_attn and norms == 2:
        wrong = "num_ln_in_parallel_attn: 2 with new_decoder_architecture: false"
    elif not new and not config.multi_query and config.num_kv_heads != config.num_attention_heads:
        wrong = f"num_kv_heads: {config.num_kv_heads} with new_decoder_architecture: false"
    if wrong is not None:
        raise ArchitectureError(
            "transformers itself can't compute such a Falcon",
            got=wrong,
            expected="settings of one of the published models",
            next_step="correct them in the checkpoint's config.json.",
        )


def _leave_alibi_to_attention(model: nn.Module) -> None:
    """Keep the mask boolean: transformers would add ALiBi to it, which _Attention does."""
    model.get_submodule("transformer").use_alibi = False  # type: ignore[assignment]


def _add_alibi_once(model: nn.Module) -> None:
    """Take ALiBi from the arguments of eager attention: it is in the mask as well, and eager
    attention adds both, where transformers' default and what such models were trained with add
    one."""

    def without(
        _module: nn.Module, inputs: tuple[Tensor, ...], named: dict[str, object]
    ) -> tuple[tuple[Tensor, ...], dict[str, object]]:
        added = named["alibi"]
        named["alibi"] = torch.zeros_like(added) if isinstance(added, Tensor) else added
        return inputs, named

    for block in model.get_submodule("transformer.h").children():
        attention = block.get_submodule("self_attention")
        attention.register_forward_pre_hook(without, with_kwargs=True)


ARCHITECTURE = Architecture(
    model_type="falcon",
    model_class="FalconForCausalLM",
    blocks="transformer.h",
    attention="self_attention",
    attention_output_matrix="self_attention.dense",
    mlp_norm="post_attention_layernorm",
    mlp="mlp",
    mlp_nonlinearity="mlp.act",
    mlp_output_matrix="mlp.dense_4h_to_h",
    final_norm="transformer.ln_f",
    token_embedding="transformer.word_embeddings",
    unembedding="lm_head",
    shape=_shape,
    repeatable=lambda config: True,
    check_config=_check_config,
    base_prefix="transformer.",
    through_interface=_Attention,
    own_block=_Block,
    before_capture=_leave_alibi_to_attention,
    mend_eager=_add_alibi_once,
    ignored_weights=(r"(transformer\.)?h\.\d+\.self_attention\.rotary_emb\.inv_freq",),
)
