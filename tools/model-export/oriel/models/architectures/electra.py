"""ELECTRA's generator, a masked language model: BERT's blocks, embeddings of a width of their own,
and a head without a copy of its bias."""

from __future__ import annotations

from oriel.models.architectures.bert import bert_like

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
)
