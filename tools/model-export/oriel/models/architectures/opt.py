"""OPT: learned positions, LayerNorm before each part, ReLU, and an MLP that is two matrices of the
block."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oriel.contract.activation_names import ModelShape
from oriel.errors import ArchitectureError
from oriel.models.architectures.architecture import Architecture
from oriel.models.architectures.replaced import ReplacedModule

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedConfig


class _Block(ReplacedModule):
    """transformers' own lays texts end to end before its MLP."""

    def __init__(self, own: nn.Module, _config: PreTrainedConfig) -> None:
        super().__init__(own)

    def forward(self, hidden_states: Tensor, **arguments: object) -> Tensor:
        attention = self.get_submodule("self_attn")
        normed = self.by("self_attn_layer_norm", hidden_states)
        middle = hidden_states + attention(hidden_states=normed, **arguments)[0]
        act = self.by("fc1", self.by("final_layer_norm", middle))
        return middle + self.by("fc2", self.by("activation_fn", act))


def _shape(config: PreTrainedConfig) -> ModelShape:
    return ModelShape(
        layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        heads=config.num_attention_heads,
        kv_heads=config.num_attention_heads,
        head_dim=config.hidden_size // config.num_attention_heads,
        intermediate=config.ffn_dim,
        vocab=config.vocab_size,
        context_length=config.max_position_embeddings,
    )


def _check_config(config: PreTrainedConfig) -> None:
    found = [
        ("do_layer_norm_before", config.do_layer_norm_before, True),
        ("_remove_final_layer_norm", config._remove_final_layer_norm, False),
        ("word_embed_proj_dim", config.word_embed_proj_dim, config.hidden_size),
    ]
    for name, value, wanted in found:
        if value != wanted:
            raise ArchitectureError(
                "this OPT has other norms, or other widths, than those that are read",
                got=f"{name}: {value}",
                expected=str(wanted),
                next_step="export another size of OPT.",
            )


ARCHITECTURE = Architecture(
    model_type="opt",
    model_class="OPTForCausalLM",
    blocks="model.decoder.layers",
    attention="self_attn",
    attention_output_matrix="self_attn.out_proj",
    mlp_norm="final_layer_norm",
    mlp="fc2",
    mlp_nonlinearity="activation_fn",
    mlp_output_matrix="fc2",
    final_norm="model.decoder.final_layer_norm",
    token_embedding="model.decoder.embed_tokens",
    unembedding="lm_head",
    shape=_shape,
    repeatable=lambda config: True,
    check_config=_check_config,
    base_prefix="model.",
    own_block=_Block,
)
