"""The number of examples that property tests draw: a tenth of them, or all under
`make test-thorough`."""

from __future__ import annotations

import os

THOROUGH = os.environ.get("ORIEL_THOROUGH") == "1"


def examples(every: int) -> int:
    """Return how many of so many examples to draw; rare cases need a few at least."""
    return every if THOROUGH else max(10, every // 10)
