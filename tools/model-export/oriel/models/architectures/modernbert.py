"""ModernBERT: an encoder with norms before each part, rotary positions, a gated MLP, and layers
that attend in a window on either side."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from oriel.models.architectures.bert import check_encoder
from oriel.models.architectures.classifier import Classifier, first_token
from oriel.models.architectures.llama import check_rotary, llama_like, llama_shape
from oriel.models.architectures.windows import with_window

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedConfig

    from oriel.contract.activation_names import ModelShape


def _shape(config: PreTrainedConfig) -> ModelShape:
    whole = replace(llama_shape(config), bidirectional=True, window=0, layer_sizes=())
    # local_attention counts the tokens on both sides, and the window has the token itself.
    return with_window(whole, config.local_attention // 2 + 1, config.layer_types)


def _check_config(config: PreTrainedConfig) -> None:
    check_encoder(config)
    check_rotary(config)


def _head(model: nn.Module, rows: Tensor) -> Tensor:
    read: Tensor = model.get_submodule("head")(rows)
    return read


def _pools(mask: Tensor, config: PreTrainedConfig) -> Tensor:
    """Return the weights of tokens that classifier_pooling asks for: the first, or all alike."""
    if config.classifier_pooling == "cls":
        return first_token(mask, config)
    seen = mask.float()
    return seen / seen.sum(dim=1, keepdim=True)


ARCHITECTURE = llama_like(
    "modernbert",
    "ModernBertForMaskedLM",
    attention="attn",
    attention_output_matrix="attn.Wo",
    mlp_norm="mlp_norm",
    mlp_nonlinearity="mlp.act",
    mlp_output_matrix="mlp.Wo",
    mlp_linear="mlp.Wi",
    fused_mlp=True,
    final_norm="model.final_norm",
    token_embedding="model.embeddings.tok_embeddings",
    unembedding="decoder",
    head=("head", "decoder"),
    shape=_shape,
    # The first layer has no norm before its attention.
    repeatable=lambda config: False,
    check_config=_check_config,
    ignored_weights=(),
    classifiers=(
        Classifier("ModernBertForSequenceClassification", "classifier", _head, _pools),
        Classifier("ModernBertForTokenClassification", "classifier", _head),
    ),
)
