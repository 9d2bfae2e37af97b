"""Means and deviations of both domains, by which a generator's inputs were normalised: looked for
in the checkpoint and beside it."""

from __future__ import annotations

import json
import math
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from oriel.checkpoints.read_checkpoint import ReadCheckpoint
from oriel.contract.json_value import JsonObject, JsonValue
from oriel.errors import CheckpointError, OptionError

NORMALIZATION = "normalization_params.json"
_FILES = tuple(
    f"{stem}.{ending}"
    for stem in ("normalization_params", "normalization", "norm_stats", "stats")
    for ending in ("json", "npz")
)
_MAX_FILE_BYTES = 64 << 20

Statistics = dict[str, dict[str, list[float]]]
"""{"A": {"mean": […], "std": […]}, "B": …}, one number for each feature."""


@dataclass(frozen=True)
class Normalization:
    """Statistics of both domains, and where they were found."""

    statistics: Statistics
    found_in: str


def find_normalization(checkpoint: ReadCheckpoint, file: Path | None) -> Normalization | None:
    """Return the statistics in a file that the user names, in the checkpoint, beside it or one
    folder up: a metric with a slash in a checkpoint's name makes a folder. None where there are
    none. Raises an OrielError for statistics that can't be right."""
    if file is not None:
        found = _in_file(file)
        if found is None:
            raise OptionError(
                f"{file} holds no statistics",
                expected="mean and std of A and B, as JSON or .npz",
                next_step='write {"A": {"mean": […], "std": […]}, "B": {…}}.',
            )
        return Normalization(found, str(file))
    found = _in_values(_checkpoint_values(checkpoint))
    if found is not None:
        return Normalization(_checked(found, checkpoint.file.name), checkpoint.file.name)
    folder = checkpoint.file.resolve().parent
    for place in (folder, folder.parent):
        for name in _FILES:
            found = _in_file(place / name) if (place / name).is_file() else None
            if found is not None:
                return Normalization(found, str(place / name))
    return None


def _in_file(file: Path) -> Statistics | None:
    try:
        if file.stat().st_size > _MAX_FILE_BYTES:
            return None
        if file.suffix == ".npz":
            with np.load(file, allow_pickle=False) as arrays:
                values: dict[tuple[str, ...], object] = {
                    (name,): arrays[name].tolist() for name in arrays.files
                }
        else:
            values = dict(_leaves(json.loads(file.read_text(encoding="utf-8")), ()))
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"{file} can't be read",
            got=" ".join(str(error).split())[:200],
            expected="mean and std of A and B, as JSON or .npz",
            next_step="write it anew, or name another with --normalization.",
        ) from error
    found = _in_values(values)
    return None if found is None else _checked(found, file.name)


def _leaves(value: JsonValue, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], object]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, (*path, key))
    else:
        yield path, value


def _checkpoint_values(checkpoint: ReadCheckpoint) -> dict[tuple[str, ...], object]:
    data: JsonObject = checkpoint.data
    values: dict[tuple[str, ...], object] = {
        path: value for path, value in _leaves(data, ()) if isinstance(value, list)
    }
    for tensors in (checkpoint.other_tensors, checkpoint.tensors):
        for name, tensor in tensors.items():
            if tensor.dim() <= 1 and _key_of(tuple(name.split("."))) is not None:
                values[tuple(name.split("."))] = tensor.double().tolist()
    return values


def _key_of(path: tuple[str, ...]) -> tuple[str, str] | None:
    """Return (domain, mean or std) of a path such as stats.A.mean, mean_A or domain_b_std."""
    words = [word for part in path[-3:] for word in re.split(r"[_\-/]", part.lower()) if word]
    domains = {word for word in words if word in ("a", "b")}
    kinds = {"std" if w in ("std", "stds", "deviation") else "mean" for w in words if w in _KINDS}
    # A running mean is a layer's.
    if len(domains) != 1 or len(kinds) != 1 or "running" in words:
        return None
    return domains.pop().upper(), kinds.pop()


_KINDS = frozenset(("mean", "means", "std", "stds", "deviation"))


def _in_values(values: Mapping[tuple[str, ...], object]) -> Statistics | None:
    found: dict[tuple[str, str], list[float]] = {}
    for path, value in values.items():
        key = _key_of(path)
        numbers = value if isinstance(value, list) else [value]
        plain = [x for x in numbers if isinstance(x, (int, float)) and not isinstance(x, bool)]
        if key is not None and len(plain) == len(numbers):
            found.setdefault(key, [float(number) for number in plain])
    if len(found) < 4:
        return None
    return {d: {kind: found[d, kind] for kind in ("mean", "std")} for d in ("A", "B")}


def _checked(statistics: Statistics, where: str) -> Statistics:
    for domain, values in statistics.items():
        mean, std = values["mean"], values["std"]
        wrong = None
        if len(mean) != len(std):
            wrong = f"{len(mean)} means and {len(std)} deviations"
        elif not all(map(math.isfinite, [*mean, *std])):
            wrong = "numbers that aren't finite"
        elif min(std, default=0.0) <= 0:
            wrong = "a deviation that isn't above 0"
        if wrong is not None:
            raise CheckpointError(
                f"the statistics of domain {domain} in {where} can't be used",
                got=wrong,
                expected="one finite mean and one deviation above 0 for each feature",
                next_step="compute them anew from the training data, or name a file with "
                "--normalization.",
            )
    return statistics
