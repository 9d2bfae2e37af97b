"""A corpus as shards: parts of files that can each be read by themselves, in one fixed order.

What a format's parts are and how their documents are read is in formats.py.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from oriel.dashboards.corpus_files import CorpusFile, list_files
from oriel.dashboards.formats import FORMATS, Part, document_slices, format_of
from oriel.dashboards.generated_corpus import GENERATED, generated_documents, generated_parts
from oriel.errors import OptionError

_SIDE_FILES = ("json", "md", "lock", "")
"""Endings of files that stand beside a dataset's own."""


@dataclass(frozen=True)
class Corpus:
    """Shards in their order."""

    name: str
    shards: tuple[Part, ...]

    @property
    def size(self) -> int:
        """Bytes of all shards, about."""
        return sum(shard.size for shard in self.shards)

    @property
    def digest(self) -> str:
        """A digest of what the shards are, without their contents: a run is continued with the same
        corpus alone."""
        rows = [
            [part.file.address, part.file.size, part.begin, part.end, part.column]
            for part in self.shards
        ]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()

    def documents(self, shard: int) -> Iterator[str]:
        """Yield the texts of a shard, the long ones in slices. Raises OptionError where it can't be
        read."""
        part = self.shards[shard]
        if part.format == GENERATED:
            yield from generated_documents(part)
            return
        for text in FORMATS[part.format].documents(part):
            yield from document_slices(text)


def open_corpus(addresses: Sequence[str], endpoint: str | None, tokens: int | None) -> Corpus:
    """Find a corpus's files and part them.

    addresses: files, folders of files, and folders that Hugging Face `datasets` saved; none for the
    bundled model's generator, of which as much is written as `tokens` need.

    Raises OptionError for what is no corpus.
    """
    if not addresses:
        return Corpus("the bundled model's generator", generated_parts(tokens))
    parts: list[Part] = []
    for address in addresses:
        files = list_files(address, endpoint)
        for file in files if len(files) == 1 else _of_corpus(address, files):
            parts += format_of(file).parts(file)
    if not parts:
        raise OptionError(
            "--corpus is empty",
            got=", ".join(addresses)[:200],
            expected="files with text in them",
            next_step="check the path.",
        )
    names = ", ".join(address.rstrip("/").rpartition("/")[2] for address in addresses)
    return Corpus(names[:200], tuple(parts))


def _of_corpus(address: str, files: Sequence[CorpusFile]) -> list[CorpusFile]:
    """Return a folder's files of text: those of a dataset where it has any, without its notes."""
    known = [file for file in files if file.ending in FORMATS]
    data = [file for file in known if file.ending not in ("txt", "text")]
    if any(file.address.rpartition("/")[2] == "dataset_dict.json" for file in files):
        raise OptionError(
            "--corpus is a dataset of several splits",
            got=address,
            expected="the folder of one of them, such as train",
        )
    chosen = data or known
    other = [file for file in files if file not in known and file.ending not in _SIDE_FILES]
    if not chosen or (other and not data):
        got = other[0].address if other else address
        raise OptionError(
            "--corpus holds files of no known kind",
            got=got,
            expected=", ".join(f".{ending}" for ending in FORMATS),
        )
    return chosen
