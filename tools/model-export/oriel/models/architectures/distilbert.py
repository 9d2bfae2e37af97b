"""DistilBERT: BERT's computation without segments, under names of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oriel.contract.activation_names import ModelShape
from oriel.models.architectures.bert import bert_like
from oriel.models.architectures.classifier import Classifier, first_token

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedConfig


def _shape(config: PreTrainedConfig) -> ModelShape:
    return ModelShape(
        layers=config.n_layers,
        hidden=config.dim,
        heads=config.n_heads,
        kv_heads=config.n_heads,
        head_dim=config.dim // config.n_heads,
        intermediate=config.hidden_dim,
        vocab=config.vocab_size,
        context_length=config.max_position_embeddings,
        bidirectional=True,
        post_norm=True,
    )


def _pooled(model: nn.Module, rows: Tensor) -> Tensor:
    dense: Tensor = model.get_submodule("pre_classifier")(rows)
    return dense.relu()


ARCHITECTURE = bert_like(
    "distilbert",
    "DistilBertForMaskedLM",
    blocks="distilbert.transformer.layer",
    attention="attention",
    attention_function=None,
    attention_output_matrix="attention.out_lin",
    mlp_norm="sa_layer_norm",
    mlp="ffn",
    mlp_nonlinearity="ffn.activation",
    mlp_output_matrix="ffn.lin2",
    token_embedding="distilbert.embeddings.word_embeddings",
    unembedding="vocab_projector",
    head=("vocab_transform", "activation", "vocab_layer_norm", "vocab_projector"),
    shape=_shape,
    base_prefix="distilbert.",
    ignored_weights=(r"(distilbert\.)?embeddings\.position_ids",),
    copied_weights=(),
    renamed_weights=(),
    classifiers=(
        Classifier("DistilBertForSequenceClassification", "classifier", _pooled, first_token),
        Classifier("DistilBertForTokenClassification", "classifier"),
    ),
)
