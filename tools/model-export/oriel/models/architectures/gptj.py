"""GPT-J: parallel blocks that share a LayerNorm, rotary positions on neighbouring pairs in a part
of each head, attention without biases, and a biased unembedding."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oriel.errors import ArchitectureError
from oriel.models.architectures.architecture import Architecture
from oriel.models.architectures.gpt2 import gpt2_shape_but
from oriel.models.architectures.interface import InterfaceAttention, split_heads
from oriel.models.architectures.pair_rotary import pair_angles, turn_pairs

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedConfig
    from transformers.cache_utils import Cache


class _Attention(InterfaceAttention):
    def forward(
        self,
        hidden_states: Tensor,
        position_ids: Tensor,
        layer_past: Cache | None = None,
        attention_mask: Tensor | None = None,
        **_: object,
    ) -> tuple[Tensor, Tensor]:
        query, key, value = (
            split_heads(self.by(matrix, hidden_states), self.config.num_attention_heads)
            for matrix in ("q_proj", "k_proj", "v_proj")
        )
        angles = pair_angles(position_ids, self.config.rotary_dim)
        states = turn_pairs(query, angles), turn_pairs(key, angles), value
        mix, probs = self.attend(states, layer_past, attention_mask)
        return self.by("out_proj", mix), probs


def _check_config(config: PreTrainedConfig) -> None:
    head_dim = config.n_embd // config.n_head
    if config.rotary_dim % 2 or not 2 <= config.rotary_dim <= head_dim:
        raise ArchitectureError(
            "this model's heads can't be turned by their positions",
            got=f"rotary_dim: {config.rotary_dim}",
            expected=f"an even number from 2 to {head_dim}, the width of a head",
            next_step="correct it in the checkpoint's config.json.",
        )


ARCHITECTURE = Architecture(
    model_type="gptj",
    model_class="GPTJForCausalLM",
    blocks="transformer.h",
    attention="attn",
    attention_output_matrix="attn.out_proj",
    mlp_norm="ln_1",
    mlp="mlp",
    mlp_nonlinearity="mlp.act",
    mlp_output_matrix="mlp.fc_out",
    final_norm="transformer.ln_f",
    token_embedding="transformer.wte",
    unembedding="lm_head",
    shape=gpt2_shape_but(parallel_residual=True),
    repeatable=lambda config: True,
    check_config=_check_config,
    base_prefix="transformer.",
    through_interface=_Attention,
    ignored_weights=(r"(transformer\.)?h\.\d+\.attn\.(masked_)?bias",),
)
