"""ELECTRA's generator, a masked language model, and classifiers: BERT's blocks, embeddings of a
width of their own, and a head without a copy of its bias."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oriel.models.architectures.bert import bert_like
from oriel.models.architectures.classifier import Classifier, first_token

if TYPE_CHECKING:
    from torch import Tensor, nn


def _pooled(model: nn.Module, rows: Tensor) -> Tensor:
    head = model.get_submodule("classifier")
    pooled: Tensor = head.get_submodule("activation")(head.get_submodule("dense")(rows))
    return pooled


ARCHITECTURE = bert_like(
    "electra",
    "ElectraForMaskedLM",
    blocks="electra.encoder.layer",
    token_embedding="electra.embeddings.word_embeddings",
    unembedding="generator_lm_head",
    head=("generator_predictions", "generator_lm_head"),
    base_prefix="electra.",
    ignored_weights=(
        r"(electra\.)?embeddings\.position_ids",
        r"discriminator_predictions\.\w+\.(weight|bias)",
    ),
    copied_weights=(),
    classifiers=(
        Classifier("ElectraForSequenceClassification", "classifier.out_proj", _pooled, first_token),
        Classifier("ElectraForTokenClassification", "classifier"),
    ),
)
