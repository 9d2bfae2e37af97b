"""RoBERTa: BERT's blocks without segments, and positions that begin behind the padding's id."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from oriel.errors import ArchitectureError
from oriel.models.architectures.bert import bert_like, bert_shape, check_encoder
from oriel.models.architectures.classifier import Classifier, first_token

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedConfig

    from oriel.contract.activation_names import ModelShape


def _first_position(config: PreTrainedConfig) -> int:
    first: int = config.pad_token_id + 1
    return first


def _shape(config: PreTrainedConfig) -> ModelShape:
    length = config.max_position_embeddings - _first_position(config)
    # Its tokenizer gives no segments, and libraries feed none.
    return replace(bert_shape(config), context_length=length, token_types=0)


def _check_config(config: PreTrainedConfig) -> None:
    check_encoder(config)
    if not isinstance(config.pad_token_id, int):
        raise ArchitectureError(
            "the positions of this model can't be counted",
            got=f"pad_token_id: {config.pad_token_id!r}",
            expected="the id behind which its positions begin",
            next_step="write it into the checkpoint's config.json; RoBERTa's own is 1.",
        )


def _pooled(model: nn.Module, rows: Tensor) -> Tensor:
    dense: Tensor = model.get_submodule("classifier.dense")(rows)
    return dense.tanh()


ARCHITECTURE = bert_like(
    "roberta",
    "RobertaForMaskedLM",
    blocks="roberta.encoder.layer",
    token_embedding="roberta.embeddings.word_embeddings",
    unembedding="lm_head.decoder",
    head=("lm_head",),
    first_position=_first_position,
    shape=_shape,
    check_config=_check_config,
    base_prefix="roberta.",
    ignored_weights=(
        r"(roberta\.)?embeddings\.position_ids",
        r"(roberta\.)?pooler\.dense\.(weight|bias)",
        r"lm_head\.(decoder\.)?bias",
    ),
    copied_weights=(("lm_head.bias", "lm_head.decoder.bias"),),
    classifiers=(
        Classifier("RobertaForSequenceClassification", "classifier.out_proj", _pooled, first_token),
        Classifier("RobertaForTokenClassification", "classifier"),
    ),
)
