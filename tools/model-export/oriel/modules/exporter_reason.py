"""An exporter's reason for failing, in one line."""

from __future__ import annotations

import re

from oriel.errors import OrielError, reason_of

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def told(error: Exception) -> str:
    """Return an exporter's reason in one line of bounded length, with its class where it is none of
    ours."""
    cause = error.__cause__
    if type(error).__module__.startswith("torch.onnx") and isinstance(cause, Exception):
        # torch's ONNX exporter puts a page of advice before the reason.
        return told(cause)
    said = _COLOURS.sub("", reason_of(error))
    return said if isinstance(error, OrielError) else f"{type(error).__name__}: {said}"
