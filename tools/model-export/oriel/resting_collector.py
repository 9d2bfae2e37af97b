"""Times at which Python doesn't look for garbage."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Let the garbage collector rest. Imports of torch and transformers, and tracing, make millions
    of objects that all stay: looking for garbage among them takes a fifth and a tenth of their
    time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
