"""Types of arguments that several commands take."""

from __future__ import annotations

import argparse


def positive_number(text: str) -> float:
    """Return a number above 0. Raises ArgumentTypeError for anything else."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a positive number, got {text}")
    return value
