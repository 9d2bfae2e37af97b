"""The file of a reference pass: writes named tensors, and reads them against the contract. The file
is untrusted. device/compute_pass.py computes the tensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from oriel.arrays import Array
from oriel.contract.activation_names import ModelShape, TensorSpec, all_activations, kind_of
from oriel.contract.documents import ReferencePassRecord
from oriel.contract.limits import limits
from oriel.errors import BundleError, OrielError

DOCUMENT = "oriel.reference_pass"
"""Metadata key of a description, for readers who find the file alone."""
MAX_BYTES = limits()["reference_pass"]["bytes"]
MOST_TOKENS = 8
_DTYPES = {"int64": np.int64, "float32": np.float32}
_HEADER_BYTES = 256
"""Maximum bytes of the header for one tensor, and for the metadata."""


@dataclass(frozen=True)
class ReferencePass:
    """The activations that a text must give."""

    ids: Array
    """Token ids, (1, seq), int64."""
    values: Mapping[str, Array]
    """Every activation of the contract in computation order, batch 1; logits of the last position
    only. Masked scores are the lowest float32."""


def pass_specs(shape: ModelShape) -> list[TensorSpec]:
    """Return the names of a pass's activations in the order in which a model computes them."""
    specs = all_activations(shape)
    return [s for s in specs if s.name != "logits"] + [s for s in specs if s.name == "logits"]


def pass_sizes(spec: TensorSpec, seq: int) -> tuple[int, ...]:
    """Return the shape of an activation in the file."""
    sizes = spec.sizes(1, seq)
    # Logits of whole texts are (1, labels).
    return (1, 1, *sizes[2:]) if spec.name == "logits" and len(sizes) == 3 else sizes


def tokens_that_fit(shape: ModelShape) -> int:
    """Return the number of tokens of a pass of this model: 8, or as many as fit into the file; 0 if
    not even one fits."""
    specs = pass_specs(shape)

    def size(seq: int) -> int:
        numbers = (
            int(np.prod(pass_sizes(spec, seq), dtype=np.int64)) * np.dtype(spec.dtype).itemsize
            for spec in specs
        )
        return sum(numbers) + (len(specs) + 2) * _HEADER_BYTES

    fitting = (n for n in range(MOST_TOKENS, 0, -1) if size(n) <= MAX_BYTES)
    return min(next(fitting, 0), shape.context_length)


def write_pass(found: ReferencePass, said: Mapping[str, str]) -> bytes:
    """Return the file's bytes. said: description for the metadata."""
    arrays = {"input_ids": found.ids, **found.values}
    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    return save(whole, {DOCUMENT: json.dumps(dict(said))})


def read_pass(raw: bytes, record: ReferencePassRecord, shape: ModelShape) -> ReferencePass:
    """Read and check a file. Raises BundleError if it doesn't match the contract."""
    path = record["path"]
    if len(raw) > MAX_BYTES:
        raise _wrong(path, f"{len(raw)} bytes", f"at most {MAX_BYTES}")
    try:
        tensors = load(raw)
    except (SafetensorError, ValueError, KeyError, OverflowError) as error:
        raise _wrong(path, str(error), "a safetensors file") from error
    ids = tensors.pop("input_ids", None)
    if ids is None or ids.dtype != np.int64 or ids.ndim != 2 or len(ids) != 1 or ids.size == 0:
        got = "none" if ids is None else f"{ids.dtype} {list(ids.shape)}"
        raise _wrong(path, f"input_ids: {got}", "int64 of [1, tokens]")
    if ids.shape[1] > shape.context_length:
        raise _wrong(path, f"{ids.shape[1]} tokens", f"at most {shape.context_length}")
    if ids.min() < 0 or ids.max() >= shape.vocab:
        raise _wrong(path, f"input_ids from {ids.min()} to {ids.max()}", f"below {shape.vocab}")
    values: dict[str, Array] = {}
    for spec in pass_specs(shape):
        values[spec.name] = _checked(path, spec, tensors.pop(spec.name, None), ids.shape[1])
        if kind_of(spec.name) not in record["bounds"]:
            raise _wrong(path, f"no bound of {kind_of(spec.name)}", "one in the manifest")
    if tensors:
        raise _wrong(path, f"{next(iter(tensors))} as well", "activations of the contract alone")
    return ReferencePass(ids, values)


def _checked(path: str, spec: TensorSpec, found: Array | None, seq: int) -> Array:
    """Return a tensor of the file after checking its dtype, shape and values against the
    contract."""
    sizes = pass_sizes(spec, seq)
    wanted = f"{spec.dtype} {list(sizes)}"
    if found is None:
        raise _wrong(path, f"no {spec.name}", wanted)
    if found.dtype != _DTYPES[spec.dtype] or found.shape != sizes:
        raise _wrong(path, f"{spec.name}: {found.dtype} {list(found.shape)}", wanted)
    if not np.isfinite(found).all():
        raise _wrong(path, f"{spec.name} holds NaN or infinity", "finite numbers")
    return found


def _wrong(path: str, got: str, expected: str) -> OrielError:
    return BundleError(
        f"{path} is no reference pass of this model",
        got=got,
        expected=expected,
        next_step="export the bundle again.",
    )
