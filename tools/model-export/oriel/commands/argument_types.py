"""Types of arguments that several commands take."""

from __future__ import annotations

import argparse

_LARGEST_SEED = 2**31 - 1


def positive_number(text: str) -> float:
    """Return a number above 0. Raises ArgumentTypeError for anything else."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a positive number, got {text}")
    return value


def positive_count(text: str) -> int:
    """Return a whole number of 1 or more, of at most 15 digits. Raises ArgumentTypeError for
    anything else."""
    if not (text.isascii() and text.isdigit() and len(text) <= 15 and int(text) > 0):
        raise argparse.ArgumentTypeError(f"expected a number of 1 or more, got {text}")
    return int(text)


def small_count(text: str) -> int:
    """Return a whole number of 1 or more, of at most 9 digits. Raises ArgumentTypeError for
    anything else."""
    if len(text) > 9:
        raise argparse.ArgumentTypeError(f"expected 1 to 999999999, got {text}")
    return positive_count(text)


def seed(text: str) -> int:
    """Return a seed of random numbers, 0 to 2^31 - 1. Raises ArgumentTypeError for anything
    else."""
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= _LARGEST_SEED):
        raise argparse.ArgumentTypeError(f"expected 0 to {_LARGEST_SEED}, got {text}")
    return int(text)
