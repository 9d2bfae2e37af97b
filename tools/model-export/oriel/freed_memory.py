"""Gives memory that Python has freed back to the system, before a step that needs much."""

from __future__ import annotations

import ctypes
from contextlib import suppress


def release_memory() -> None:
    """Return freed memory to the system, where the C library can."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
