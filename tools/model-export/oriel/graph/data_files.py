"""Weights in as many data files as their size asks for: hosts, and a browser's arrays, take none of
2 GiB. Offsets count through all of an encoding's files as if they lay end to end."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from oriel.contract.browser_memory import browser_memory

ALIGNMENT = 64
"""Bytes; a cache line, and more than any typed array or vector load asks for."""


def aligned(offset: int) -> int:
    """Return the next place at which a weight may begin."""
    return -(-offset // ALIGNMENT) * ALIGNMENT


def largest_file() -> int:
    """Return the most bytes that a data file has, unless a single weight has more."""
    return browser_memory()["file_bytes"]


def starts_of_files(places: Iterable[tuple[int, int]]) -> tuple[int, ...]:
    """Return where each file begins. places: (begin, end) of each weight, in order of their
    offsets; a weight lies in one file."""
    starts = [0]
    for begin, end in places:
        if end - starts[-1] > largest_file() and begin > starts[-1]:
            starts.append(begin)
    return tuple(starts)


def starts_of_sizes(sizes: Sequence[int]) -> tuple[int, ...]:
    """Return where each of files with so many bytes begins."""
    starts = [0]
    for size in sizes[:-1]:
        starts.append(aligned(starts[-1] + size))
    return tuple(starts)


def name_of_file(first: str, number: int) -> str:
    """Return the name of an encoding's file of that number, from the name of the first: that of
    model.onnx.data's second, number 1, is model.1.onnx.data."""
    if number == 0:
        return first
    path = PurePosixPath(first)
    stem, *suffixes = path.name.rsplit(".", 2)
    return str(path.with_name(".".join([stem, str(number), *suffixes])))


def names_of_files(first: str, starts: Sequence[int]) -> list[str]:
    """Return the names of all of an encoding's files."""
    return [name_of_file(first, number) for number in range(len(starts))]


def located(first: str, starts: Sequence[int], offset: int) -> tuple[str, int]:
    """Return the name of the file that holds an offset, and the offset there."""
    number = bisect_right(starts, offset) - 1
    return name_of_file(first, number), offset - starts[number]
