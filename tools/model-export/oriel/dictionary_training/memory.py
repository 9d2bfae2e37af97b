"""The memory that a training takes at least, which is compared with what is available."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from oriel.dictionary_training.batch_topk import TrainSettings
from oriel.errors import OptionError

_ITEM_BYTES = 4
"""Bytes of a float32."""
_COPIES = 4
"""Copies at a time of a step's features: before and after the choice, and the gradients of both.
As many of each weight: its value, its gradient and two moments of Adam."""


def least_bytes(settings: TrainSettings, widths: Sequence[int]) -> int:
    """Return the bytes that a training takes at least, besides the activations. widths: of what is
    read and what is written."""
    return _COPIES * _ITEM_BYTES * settings.features * (settings.batch + sum(widths))


def check_memory(settings: TrainSettings, widths: Sequence[int]) -> None:
    """Raise OptionError where a training takes more memory than is available."""
    least, there = least_bytes(settings, widths), available_bytes()
    if there is not None and least > there:
        raise OptionError(
            "there is too little memory to train so many features",
            got=f"{settings.features} features, {least / 1e9:.1f} GB at least",
            expected=f"at most the {there / 1e9:.1f} GB that are available",
            next_step="give fewer --features.",
        )


def available_bytes() -> int | None:
    """Return the bytes of memory that are available, by Linux's own estimate; elsewhere all that
    the machine has, and None where the system tells neither."""
    try:
        found = re.search(r"^MemAvailable: *(\d+) kB$", Path("/proc/meminfo").read_text(), re.M)
        if found is not None:
            return 1024 * int(found.group(1))
    except OSError:
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        # Windows has no sysconf.
        return None
