"""Search for the files of a folder that hold a model's weights. oriel/checkpoints reads their
tensors; no_checkpoint.py tells of a folder without any."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from oriel.errors import CheckpointError, first_few
from oriel.models.model_names import shown_name
from oriel.models.no_checkpoint import no_weights
from oriel.tokenizers.checkpoint_json import read_object

SAFETENSORS = "model.safetensors"
PICKLE = "pytorch_model.bin"


def weight_files(folder: Path) -> list[Path]:
    """Return the checkpoint's weight files, safetensors before pickles; CheckpointError without
    any."""
    for name in (SAFETENSORS, PICKLE):
        if (folder / name).is_file():
            return [folder / name]
        index = folder / f"{name}.index.json"
        if index.is_file():
            return _sharded(folder, index)
    raise no_weights(folder)


def _sharded(folder: Path, index: Path) -> list[Path]:
    places = read_object(index, shown_name(folder)).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise CheckpointError(
            f"{index.name} in {shown_name(folder)} lists no shards",
            expected="a weight_map from tensors to files",
            next_step="download the checkpoint again.",
        )
    named: set[str] = set()
    for shard in places.values():
        # An absolute path or one with '..' would read what was never downloaded.
        if not isinstance(shard, str) or not re.fullmatch(r"[^/\\:.][^/\\:]*", shard):
            raise CheckpointError(
                f"{index.name} in {shown_name(folder)} names a file outside the checkpoint",
                got=repr(shard),
                expected="names of files beside it",
                next_step="don't use this checkpoint unless you know why.",
            )
        named.add(shard)
    shards = sorted(named)
    lacking = [shard for shard in shards if not (folder / shard).is_file()]
    if lacking:
        suffix = Path(lacking[0]).suffix
        there = {file.name for file in folder.glob(f"*-of-*{suffix}")}
        other = sorted(there - set(shards))
        raise CheckpointError(
            f"the checkpoint {shown_name(folder)} is partial",
            got=f"no {first_few(lacking)}" + (f", but {first_few(other)}" if other else ""),
            expected=f"the {len(shards)} files that {index.name} lists",
            next_step=f"get the {index.name} that belongs to these files: this one is of another "
            "save."
            if other
            else "download the missing ones.",
        )
    return [folder / shard for shard in shards]


def has_mark(file: Path) -> bool:
    """Return whether the file begins with a byte order mark, which some editors add and JSON
    doesn't have."""
    try:
        with file.open("rb") as opened:
            return opened.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8
    except OSError:
        return False
