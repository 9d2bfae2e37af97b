"""The type of an array whose dtype is known only at run time: ONNX Runtime takes and gives such."""

from __future__ import annotations

from typing import Any, TypeAlias

from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]


def logits_rows(logits: Array) -> Array:
    """Return logits as rows, (batch, rows, vocab or labels): a classifier of whole texts gives
    (batch, labels), which is one row for each."""
    return logits if logits.ndim == 3 else logits[:, None]
