"""Traced layers: how many, the outputs that tie them together, and the error where they differ."""

from __future__ import annotations

import re


class LayersDiffer(Exception):
    """Two layers aren't the same graph: each must be traced."""


TRACED_LAYERS = 2
"""One layer that may include what all share, such as the mask, and one to compare with it and to
copy."""

STREAM_IN = "embedding_sum"
"""Name of the tensor that the first layer reads in place of another layer's resid_post."""


def stream_after(layer: int) -> str:
    """Return the name of the output that a layer hands to the next one."""
    return f"layer_{layer}_resid_post"


def is_stream(name: str) -> bool:
    """Return whether an output is one of those that tie the layers together."""
    return name == STREAM_IN or bool(re.fullmatch(r"layer_\d+_resid_post", name))
