"""Runs of `oriel dashboards` for its tests: a corpus of a few hundred words, the command in
process, and what it wrote."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet
from tokenizer_folders import TEXT
from tokenizers import Tokenizer

from oriel.cli import main
from oriel.dashboards import formats, unfinished

WORDS = sorted({word for text in TEXT for word in text.split()})


def passages(count: int, seed: int = 0) -> list[str]:
    """Return texts of words that the tokenizer was trained on, of unequal lengths."""
    draw = random.Random(seed)
    return [" ".join(draw.choices(WORDS, k=draw.randint(2, 25))) for _ in range(count)]


def write_text(file: Path, texts: Sequence[str]) -> Path:
    file.write_text("\n\n".join(texts) + "\n", encoding="utf-8")
    return file


def run(bundle: Path, out: Path, *more: str | Path) -> int:
    """Run the command; return its exit code."""
    return main(["dashboards", str(bundle), "--out", str(out), "--json", *map(str, more)])


def run_in_shards(bundle: Path, out: Path, size: int, *more: str | Path) -> Path:
    """Run the command with shards of so many bytes; return the folder of what it made."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(formats, "SHARD_BYTES", size)
        assert run(bundle, out, *more) == 0
    return out


def contexts_of(
    checkpoint: Path, shards: Sequence[Sequence[str]], length: int
) -> list[tuple[int, int, list[int]]]:
    """Return shard, number and token ids of each context of a corpus: of two tokens or more, since
    the first isn't counted."""
    tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    found: list[tuple[int, int, list[int]]] = []
    for shard, texts in enumerate(shards):
        ids = [each for text in texts for each in [0, *tokenizer.encode(text).ids]]
        rows = [ids[at : at + length] for at in range(0, len(ids), length)]
        found += [(shard, at, row) for at, row in enumerate(rows) if len(row) > 1]
    return found


def files_of(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def rows_of(folder: Path, kind: str, layer: int) -> list[dict[str, Any]]:
    """Return the rows of a layer's units."""
    found: list[dict[str, Any]] = []
    for file in sorted(folder.glob(f"{kind}_{layer}_*.parquet")):
        found += parquet.read_table(file).to_pylist()
    return found


def stop() -> None:
    """Stop the run, as Ctrl-C does."""
    raise KeyboardInterrupt


def after_saves(patch: pytest.MonkeyPatch, saves: int, do: Callable[[], None]) -> None:
    """Call a function in the driver once a state was saved so many times."""
    save, done = unfinished.Unfinished.save, []

    def saving(self: unfinished.Unfinished, state: bytes) -> None:
        save(self, state)
        done.append(len(state))
        if len(done) == saves:
            do()

    patch.setattr(unfinished.Unfinished, "save", saving)
