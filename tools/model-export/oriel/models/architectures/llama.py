"""Llama: rotary positions, RMSNorm, grouped keys and values, gated MLP; and llama_like for the many
architectures that differ from it in a few paths."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from oriel.contract.activation_names import ModelShape
from oriel.errors import ArchitectureError
from oriel.models.architectures.architecture import Architecture
from oriel.models.architectures.windows import with_windows

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


def llama_shape(config: PreTrainedConfig) -> ModelShape:
    shape = ModelShape(
        layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        heads=config.num_attention_heads,
        kv_heads=getattr(config, "num_key_value_heads", config.num_attention_heads),
        head_dim=getattr(config, "head_dim", None)
        or config.hidden_size // config.num_attention_heads,
        intermediate=config.intermediate_size,
        vocab=config.vocab_size,
        context_length=config.max_position_embeddings,
        gated_mlp=True,
    )
    return with_windows(config, shape)


def llama_shape_but(**properties: bool) -> Callable[[PreTrainedConfig], ModelShape]:
    """Return a function that reads Llama's sizes, with other properties of a ModelShape."""
    return lambda config: replace(llama_shape(config), **properties)  # type: ignore[arg-type]


def check_rotary(config: PreTrainedConfig) -> None:
    """Raise ArchitectureError for rotary positions that one fixed graph can't compute."""
    given = config.rope_parameters
    # Some models have one kind for layers with a window and one for the others.
    by_layer = [kind for kind in given.values() if isinstance(kind, dict)]
    found = {kind.get("rope_type", "default") for kind in by_layer or [given]}
    # These two choose their frequencies by the length at hand.
    for kind in sorted(found & {"dynamic", "longrope"}):
        raise ArchitectureError(
            "these rotary positions change with the length of the text",
            got=f"rope_type {kind!r}",
            expected="default, linear, llama3 or yarn",
            next_step="set a fixed rope_type in the checkpoint's config.json.",
        )


def layers_are_alike(config: PreTrainedConfig) -> bool:
    """Return whether all layers attend alike, which two of them can't show."""
    return len(set(getattr(config, "layer_types", None) or ["full_attention"])) == 1


ARCHITECTURE = Architecture(
    model_type="llama",
    model_class="LlamaForCausalLM",
    blocks="model.layers",
    attention="self_attn",
    attention_output_matrix="self_attn.o_proj",
    mlp_norm="post_attention_layernorm",
    mlp="mlp",
    mlp_nonlinearity="mlp.act_fn",
    mlp_output_matrix="mlp.down_proj",
    final_norm="model.norm",
    token_embedding="model.embed_tokens",
    unembedding="lm_head",
    shape=llama_shape,
    repeatable=layers_are_alike,
    check_config=check_rotary,
    base_prefix="model.",
    mlp_linear="mlp.up_proj",
    ignored_weights=(r"(model\.)?layers\.\d+\.self_attn\.rotary_emb\.inv_freq",),
    telling_entries=frozenset(
        {"hidden_size", "num_attention_heads", "num_hidden_layers", "rms_norm_eps"}
    ),
)


def llama_like(
    model_type: str,
    model_class: str,
    **changes: Any,  # noqa: ANN401 - fields of Architecture, each of its own type
) -> Architecture:
    """Describe an architecture that is Llama's except for its names and for `changes`, which are
    fields of Architecture."""
    own = {"telling_entries": frozenset(), **changes}
    return replace(ARCHITECTURE, model_type=model_type, model_class=model_class, **own)
