"""BERT: tokens see each other in both directions, learned positions and segments, and a norm of the
residual stream after each part; bert_like for the architectures with the same blocks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from oriel.contract.activation_names import ModelShape
from oriel.errors import ArchitectureError
from oriel.models.architectures.architecture import Architecture
from oriel.models.architectures.classifier import Classifier, first_token
from oriel.models.architectures.plain_heads import plain_shape

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedConfig


def bert_shape(config: PreTrainedConfig) -> ModelShape:
    return replace(
        plain_shape(config, config.intermediate_size),
        bidirectional=True,
        post_norm=True,
        # One segment is the same for every token.
        token_types=config.type_vocab_size if config.type_vocab_size > 1 else 0,
    )


def check_encoder(config: PreTrainedConfig) -> None:
    """Raise ArchitectureError for a config that makes a decoder of such a model."""
    for name in ("is_decoder", "add_cross_attention"):
        if getattr(config, name, False):
            raise ArchitectureError(
                "this encoder was made a decoder",
                got=f"{name}: true",
                expected="a model whose tokens see each other in both directions",
                next_step="convert it as a module: `oriel convert`.",
            )


def _pooled(model: nn.Module, rows: Tensor) -> Tensor:
    pooler = model.get_submodule("bert.pooler")
    pooled: Tensor = pooler.get_submodule("activation")(pooler.get_submodule("dense")(rows))
    return pooled


ARCHITECTURE = Architecture(
    model_type="bert",
    model_class="BertForMaskedLM",
    blocks="bert.encoder.layer",
    attention="attention.output.dense",
    attention_function="attention.self",
    attention_output_matrix="attention.output.dense",
    mlp_norm="attention.output.LayerNorm",
    mlp="output.dense",
    mlp_nonlinearity="intermediate.intermediate_act_fn",
    mlp_output_matrix="output.dense",
    final_norm=None,
    token_embedding="bert.embeddings.word_embeddings",
    unembedding="cls.predictions.decoder",
    head=("cls",),
    shape=bert_shape,
    repeatable=lambda config: True,
    check_config=check_encoder,
    base_prefix="bert.",
    ignored_weights=(
        r"(bert\.)?embeddings\.position_ids",
        r"(bert\.)?pooler\.dense\.(weight|bias)",
        r"cls\.seq_relationship\.(weight|bias)",
        r"cls\.predictions\.(decoder\.)?bias",
    ),
    copied_weights=(("cls.predictions.bias", "cls.predictions.decoder.bias"),),
    classifiers=(
        Classifier("BertForSequenceClassification", "classifier", _pooled, first_token),
        Classifier("BertForTokenClassification", "classifier"),
    ),
    # The names of BERT's first checkpoints.
    renamed_weights=(
        (r"LayerNorm\.gamma$", "LayerNorm.weight"),
        (r"LayerNorm\.beta$", "LayerNorm.bias"),
    ),
)


def bert_like(
    model_type: str,
    model_class: str,
    **changes: Any,  # noqa: ANN401 - fields of Architecture, each of its own type
) -> Architecture:
    """Describe an architecture that is BERT's except for its names and for `changes`, which are
    fields of Architecture."""
    return replace(ARCHITECTURE, model_type=model_type, model_class=model_class, **changes)
