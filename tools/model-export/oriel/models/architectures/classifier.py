"""Heads over labels, which a checkpoint may have in the place of the one over the vocabulary: of
whole texts, or of tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from oriel.errors import ArchitectureError

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedConfig

    from oriel.contract.documents import ClassifierRecord

MAX_LABELS, MAX_LABEL = 10_000, 256
"""Largest number of labels and of characters of one, as in contracts/manifest.schema.json."""
_PROBLEMS: dict[str, Literal["single_label", "multi_label", "regression"]] = {
    "single_label_classification": "single_label",
    "multi_label_classification": "multi_label",
    "regression": "regression",
}


def first_token(mask: Tensor, _config: PreTrainedConfig) -> Tensor:
    """Return (batch, seq), float32: 1 for each text's first token that isn't padding, else 0. mask:
    (batch, seq), int64."""
    seen = mask.float()
    # Of the tokens seen, the first alone has itself and none before it.
    return seen * (seen.cumsum(dim=1) < 1.5)


@dataclass(frozen=True)
class Classifier:
    """A head over labels. Paths are module paths as in `named_modules`."""

    model_class: str
    """Name of its class in transformers, by which a config names it."""
    matrix: str
    """The module that makes logits."""
    reads: Callable[[nn.Module, Tensor], Tensor] = lambda _model, rows: rows
    """Returns what `matrix` reads, (…, hidden), for rows (…, hidden) of final_norm."""
    pools: Callable[[Tensor, PreTrainedConfig], Tensor] | None = None
    """Returns each token's weight, (batch, seq), float32, in the one row of final_norm that stands
    for a text; takes attention_mask (batch, seq), int64. None where each token has labels of its
    own."""


def label_count(config: PreTrainedConfig) -> int:
    """Return how many labels a config has; ArchitectureError where no manifest can describe
    them."""
    count = config.num_labels or 0
    if not 1 <= count <= MAX_LABELS:
        raise ArchitectureError(
            "this classifier has a number of labels that can't be read",
            got=f"{count} labels",
            expected=f"1 to {MAX_LABELS}",
            next_step="correct id2label in its config.json, which counts them.",
        )
    return count


def classifier_record(config: PreTrainedConfig, *, pooled: bool) -> ClassifierRecord:
    """Return the names of a classifier's labels and what its logits say. Where the config doesn't
    say it, one logit of a text is a number, as transformers trains it, and several are of one label
    each."""
    # transformers makes numbers of the keys.
    names = cast("dict[int, object]", config.id2label or {})
    count = label_count(config)
    labels = [str(names.get(at, f"LABEL_{at}"))[:MAX_LABEL] for at in range(count)]
    problem = _PROBLEMS.get(config.problem_type or "")
    if problem is None or not pooled:
        problem = "regression" if pooled and count == 1 else "single_label"
    return {"problem": problem, "labels": labels}
