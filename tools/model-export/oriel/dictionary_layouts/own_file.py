"""Oriel's own dictionary file, as `oriel train-dictionary` writes it;
oriel/dictionaries/dictionary_file.py checks its contents."""

from __future__ import annotations

from pathlib import Path

from oriel.dictionaries.dictionary_file import read_dictionary
from oriel.dictionary_layouts.layout import Layout, Request, check_reads
from oriel.errors import OptionError


def _is_of(path: Path) -> bool:
    return path.suffix == ".safetensors" and path.is_file()


def _file_bytes(request: Request) -> bytes:
    found = read_dictionary(request.path, request.shape, request.weights)
    check_reads(request, found.description["reads"])
    if request.centered:
        raise OptionError(
            "--centered is for layouts that don't say how they were trained",
            got=f"the dictionary file {request.path.name}",
            next_step="leave it out.",
        )
    return found.data


LAYOUT = Layout(
    "Oriel",
    "a .safetensors file of oriel train-dictionary",
    _is_of,
    _file_bytes,
    reads_norms=False,
)
