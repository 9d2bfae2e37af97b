"""Checkpoints of any framework as safetensors, without the code of their models: tensors are kept
bit for bit, tied ones once, and large ones in shards as transformers names them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from oriel.bundle.atomic_folder import refuse_foreign_folder, replaced_folder
from oriel.checkpoints.compare_tensors import hold_to
from oriel.checkpoints.read_checkpoint import ReadCheckpoint, read_checkpoint
from oriel.checkpoints.write_safetensors import aliases_of, read_with_aliases, write_safetensors
from oriel.contract.json_value import JsonObject
from oriel.errors import CheckpointError, OptionError, OrielError, first_few
from oriel.modules.checkpoint_sources import CheckpointSource

DEFAULT_SHARD = "50GB"
"""As transformers has it."""
_KEPT = "checkpoint"
"""The metadata's key for the plain data of a training checkpoint, as JSON."""
_MAX_KEPT = 1 << 20
_INDEX = "model.safetensors.index.json"


@dataclass(frozen=True)
class CheckpointReport:
    """One checkpoint's result."""

    name: str
    folder: Path
    files: tuple[str, ...] = ()
    tensors: int = 0
    bytes: int = 0
    aliases: Mapping[str, str] | None = None
    notes: tuple[str, ...] = ()
    error: OrielError | None = None


def shard_bytes(size: str) -> int:
    """Return a size such as 5GB in bytes. Raises OptionError for anything else."""
    from huggingface_hub.serialization._base import parse_size_to_int

    try:
        found = parse_size_to_int(size)
    except (ValueError, OverflowError):
        found = 0
    if found <= 0:
        raise OptionError(
            "--max-shard-size is no size", got=repr(size), expected="such as 500MB or 5GB"
        )
    return found


def convert_checkpoints(
    sources: Sequence[CheckpointSource],
    output: Path,
    max_shard: int,
    unsafe_pickle: bool,
    on_stage: Callable[[str], None],
) -> list[CheckpointReport]:
    """Convert each into `output`, or into a folder of its name there where there are several. An
    error of one leaves the others."""
    done = []
    for source in sources:
        folder = output if len(sources) == 1 else output / source.name
        on_stage(f"{source.name}: read, write and compare")
        try:
            done.append(convert_checkpoint(source, folder, max_shard, unsafe_pickle))
        except OrielError as error:
            done.append(CheckpointReport(source.name, folder, error=error))
    return done


def convert_checkpoint(
    source: CheckpointSource, folder: Path, max_shard: int, unsafe_pickle: bool = False
) -> CheckpointReport:
    """Write model.safetensors, or shards and their index, with the other files of the model's
    folder. Raises CheckpointError for what can't be read, or isn't the same once it is written."""
    refuse = _refuse_full(folder)
    refuse()
    held = _read(source.files, unsafe_pickle)
    notes = _left_out(held)
    metadata, more = _metadata_of(held)
    tensors = {name: tensor for each in held for name, tensor in each.tensors.items()}
    with replaced_folder(folder, refuse) as staged:
        files = _write(tensors, staged, max_shard, metadata)
        _compare(tensors, [staged / name for name in files if name != _INDEX])
        for file in source.files_beside():
            shutil.copyfile(file, staged / file.name)
        size = sum((staged / name).stat().st_size for name in files)
    aliases = aliases_of(tensors)
    return CheckpointReport(
        source.name, folder, tuple(files), len(tensors), size, aliases, (*notes, *more)
    )


def _refuse_full(folder: Path) -> Callable[[], None]:
    return lambda: refuse_foreign_folder(folder, lambda _: False, "--output")


def _read(files: Sequence[Path], unsafe_pickle: bool) -> list[ReadCheckpoint]:
    held = [read_checkpoint(file, unsafe_pickle=unsafe_pickle) for file in files]
    names = [name for each in held for name in each.tensors]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise CheckpointError("two shards hold tensors of one name", got=first_few(twice))
    return held


def _left_out(held: Sequence[ReadCheckpoint]) -> list[str]:
    """Name whatever of the checkpoint is no tensor of the model."""
    notes = []
    others = [name for each in held for name in each.other_tensors]
    if others:
        notes.append(f"left out, as no tensor of the model: {first_few(others)}")
    foreign = [f"{row.place} ({row.name})" for each in held for row in each.foreign]
    if foreign:
        notes.append(f"left out, as an object of a program: {first_few(foreign)}")
    return notes


def _metadata_of(held: Sequence[ReadCheckpoint]) -> tuple[dict[str, str], list[str]]:
    """Return the metadata of safetensors files as it was, and the plain data of others as JSON."""
    found: dict[str, str] = {}
    notes = []
    for each in held:
        if each.file.suffix == ".safetensors" or not each.data:
            found |= {key: value for key, value in each.data.items() if isinstance(value, str)}
            continue
        text = json.dumps(each.data, ensure_ascii=False)
        if len(text) <= _MAX_KEPT:
            found[_KEPT] = text
        else:
            notes.append(f"left out: {len(text):,} characters of data beside the tensors")
    return found, notes


def _write(
    tensors: Mapping[str, Tensor], folder: Path, max_shard: int, metadata: Mapping[str, str]
) -> list[str]:
    from huggingface_hub import split_torch_state_dict_into_shards

    aliases = aliases_of(tensors)
    stored = {name: tensor for name, tensor in tensors.items() if name not in aliases}
    split = split_torch_state_dict_into_shards(stored, max_shard_size=max_shard)
    for file, names in split.filename_to_tensors.items():
        own = {name: kept for name, kept in aliases.items() if kept in names}
        shard = {name: tensors[name] for name in (*names, *own)}
        write_safetensors(shard, folder / file, metadata)
    files = list(split.filename_to_tensors)
    if not split.is_sharded:
        return files
    index = {
        "metadata": {"total_size": sum(tensor.nbytes for tensor in stored.values())},
        "weight_map": split.tensor_to_filename,
    }
    (folder / _INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    return [*files, _INDEX]


def _compare(tensors: Mapping[str, Tensor], files: Sequence[Path]) -> None:
    """Read the files back, mapped into memory, and hold them to the tensors bit for bit."""
    found: dict[str, Tensor] = {}
    for file in files:
        found |= read_with_aliases(file)[0]
    hold_to(found, tensors)


def results_to_json(done: Sequence[CheckpointReport]) -> JsonObject:
    """Return the results as JSON."""
    return {
        "checkpoints": [
            {
                "name": each.name,
                "error": None if each.error is None else str(each.error),
                "folder": str(each.folder),
                "files": list(each.files),
                "tensors": each.tensors,
                "bytes": each.bytes,
                "aliases": dict(each.aliases or {}),
                "notes": list(each.notes),
            }
            for each in done
        ]
    }


def result_lines(done: Sequence[CheckpointReport]) -> list[str]:
    """Return the results for people, a line for each fact."""
    lines = []
    for each in done:
        if each.error is not None:
            lines.append(f"{each.name}: refused: {each.error}")
            continue
        lines.append(
            f"{each.name}: {each.tensors} tensors, {each.bytes:,} bytes in {each.folder}: "
            f"{first_few(each.files)}; read back, and the same bit for bit"
        )
        if each.aliases:
            tied = [f"{name} is {kept}" for name, kept in each.aliases.items()]
            lines.append(f"{each.name}: stored once: {first_few(tied)}")
        lines += [f"{each.name}: {note}" for note in each.notes]
    failed = sum(each.error is not None for each in done)
    return [*lines, f"{len(done) - failed} of {len(done)} checkpoints written and verified"]
