"""Inputs of a comparison, each with where its values are from, so that a record can make them
again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from oriel.contract.documents import ProofInput, ProofSource
from oriel.errors import ModuleError, OptionError, first_few
from oriel.proof.artifact import Port, Tensors

_MOST_VALUES = 1024
"""Values of a tensor up to which they stand in the record."""


@dataclass(frozen=True)
class Input:
    """One tensor, and where it is from."""

    tensor: Tensor
    source: ProofSource

    def to_json(self, name: str) -> ProofInput:
        return {
            "name": name,
            "dtype": str(self.tensor.dtype).removeprefix("torch."),
            "shape": list(self.tensor.shape),
            "sha256": digest(self.tensor),
            "source": self.source,
        }


@dataclass(frozen=True)
class ProofInputs:
    """The inputs of one case by name, those that are known before anything is run."""

    name: str
    inputs: Mapping[str, Input]
    past: str | None = None
    """Name of the case before whose outputs `present.*` are the inputs `past_key_values.*`."""


def digest(tensor: Tensor) -> str:
    """Return the SHA-256 of a tensor's bytes, row by row."""
    flat = tensor.detach().contiguous().reshape(-1)
    return hashlib.sha256(flat.view(torch.uint8).numpy().tobytes()).hexdigest()


def listed(tensor: Tensor, otherwise: ProofSource) -> Input:
    """Return a tensor with its values in the record where they are few and finite numbers."""
    plain = not tensor.is_complex() and bool(torch.isfinite(tensor).all())
    if tensor.numel() > _MOST_VALUES or not plain:
        return Input(tensor, otherwise)
    return Input(tensor, {"kind": "values", "values": tensor.reshape(-1).tolist()})


def drawn(port: Port, shape: Sequence[int], seed: int) -> Input:
    """Draw values between a port's least and largest: whole numbers, truth values or floats. Raises
    OptionError for whole numbers of an unknown range."""
    dtype = dtype_called(port.dtype)
    low, high = port.range or (0.0, 1.0)
    if port.range is None and not dtype.is_floating_point and dtype != torch.bool:
        raise OptionError(
            f"nothing says which numbers {port.name} may hold",
            got=f"{port.dtype} {list(port.shape)}",
            expected="a file that `oriel convert` wrote, or inputs of your own",
            next_step="give them with --inputs FILE.safetensors.",
        )
    return _draw(dtype, shape, (low, high), seed)


def _draw(
    dtype: torch.dtype, shape: Sequence[int], limits: tuple[float, float], seed: int
) -> Input:
    draw = torch.Generator().manual_seed(seed)
    low, high = limits
    if dtype.is_floating_point:
        made = torch.rand(*shape, generator=draw, dtype=torch.float64) * (high - low) + low
    else:
        made = torch.randint(int(low), int(high) + 1, tuple(shape), generator=draw)
    return listed(made.to(dtype), {"kind": "random", "seed": seed, "range": [low, high]})


def dtype_called(name: str) -> torch.dtype:
    """Return torch's dtype of a name. Raises ModuleError for none."""
    found = getattr(torch, name, None)
    if not isinstance(found, torch.dtype):
        raise ModuleError("torch has no such dtype", got=name)
    return found


def read_inputs(file: Path, wanted: Sequence[str]) -> ProofInputs:
    """Return the tensors of a .safetensors or .npz file as a case. Raises OptionError for one that
    can't be read or lacks an input."""
    try:
        tensors = _read(file)
    except Exception as error:
        # A file that is no such file raises what its library likes.
        raise OptionError(
            "the inputs can't be read",
            got=f"{file}: {type(error).__name__}",
            expected="a .safetensors or .npz file of named tensors",
        ) from error
    missing = [name for name in wanted if name not in tensors]
    if missing:
        raise OptionError(
            f"{file.name} lacks an input",
            got=f"{first_few(sorted(tensors))}",
            expected=f"each of {', '.join(wanted)}",
        )
    source: ProofSource = {"kind": "file", "file": str(file)}
    return ProofInputs(file.name, {name: listed(tensors[name], source) for name in wanted})


def _read(file: Path) -> Tensors:
    if file.suffix == ".npz":
        with np.load(file, allow_pickle=False) as held:
            return {name: torch.from_numpy(held[name]) for name in held.files}
    from safetensors.torch import load_file

    return load_file(file)


def from_record(record: ProofInput, held: Tensors) -> Input:
    """Make an input of a record again. held: the tensors of its case that are not the record's own,
    but a file's or an artifact's. Raises ModuleError where other values come out."""
    dtype, shape = dtype_called(record["dtype"]), record["shape"]
    source, name = record["source"], record["name"]
    made: Tensor | None = None
    if source["kind"] == "values":
        made = torch.tensor(source["values"], dtype=dtype).reshape(shape)
    elif source["kind"] == "random":
        low, high = source["range"]
        made = _draw(dtype, shape, (low, high), source["seed"]).tensor
    else:
        made = held.get(name)
    if made is None or digest(made) != record["sha256"]:
        raise ModuleError(
            f"the input {name} can't be made again as it was",
            got="nothing" if made is None else "other values",
            expected="the values whose digest the record holds",
            next_step="compare the two anew, without --rerun.",
        )
    return Input(made, source)
