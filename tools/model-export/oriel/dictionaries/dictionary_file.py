"""The file of a dictionary: the tensors of a sparse autoencoder or a transcoder, and a description
of the activations that it belongs to. It is a safetensors file, which
contracts/ACTIVATIONS_CONTRACT.md specifies; its contents are untrusted."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np

from oriel.arrays import Array
from oriel.contract.activation_names import ModelShape
from oriel.contract.dictionaries import description_problem, dictionary_path, tensor_shapes
from oriel.contract.documents import DictionaryDescription
from oriel.errors import OptionError
from oriel.graph.tensor_file import FileKind, StoredTensor, parse_tensor_file, read_file

DOCUMENT = "oriel.dictionary"
"""Metadata key of the description, which is JSON."""
_KIND = FileKind(
    "dictionary",
    DOCUMENT,
    "manifest#/$defs/dictionaryDescription",
    "train one for the model: oriel train-dictionary",
)


@dataclass(frozen=True)
class Dictionary:
    """A dictionary that was read and checked."""

    data: bytes = field(repr=False)
    """Bytes of the file."""
    digest: str
    """Digest of the file: "sha256:" and 64 hexadecimal digits."""
    description: DictionaryDescription
    arrays: Mapping[str, Array] = field(repr=False)
    """{tensor: its values}, float32 or float16, of the shapes of `tensor_shapes`."""
    places: Mapping[str, StoredTensor] = field(repr=False)
    """{tensor: its location in the file}."""

    @property
    def path(self) -> str:
        """Return the file's name in a bundle."""
        return dictionary_path(self.digest)

    def features(self, rows: Array) -> Array:
        """Return the features (…, features), float32, of rows (…, width) of the activation that the
        dictionary reads; `token_rows` makes them of attn_z. Raises OptionError for another
        width."""
        weight = self.wide("encoder_weight")
        sums: Array = _rows_of(rows, len(weight), "the dictionary reads other rows") @ weight
        sums += self.wide("encoder_bias")
        if self.description["activation"] == "jumprelu":
            return np.where(sums > self.wide("threshold"), sums, np.float32(0))
        above: Array = np.maximum(sums, np.float32(0))
        if self.description["activation"] == "relu":
            return above
        # Of equal ones the first is kept, as TopK does.
        order = np.argsort(-above, axis=-1, kind="stable")[..., : int(self.description["k"])]
        kept = np.zeros_like(above)
        np.put_along_axis(kept, order, np.take_along_axis(above, order, axis=-1), axis=-1)
        return kept

    def rebuild(self, features: Array) -> Array:
        """Return the rows (…, width), float32, that features (…, features) rebuild. Raises
        OptionError for another number of features."""
        weight = self.wide("decoder_weight")
        wrong = "the dictionary has another number of features"
        product: Array = _rows_of(features, len(weight), wrong) @ weight
        return product + self.wide("decoder_bias")

    def wide(self, part: str) -> Array:
        """Return a tensor in float32."""
        return self.arrays[part].astype(np.float32, copy=False)


def _rows_of(values: Array, width: int, wrong: str) -> Array:
    """Return values (…, width) in float32. Raises OptionError with the words of `wrong` where they
    are of another width."""
    shape = np.shape(values)
    if not shape or shape[-1] != width:
        raise OptionError(wrong, got=f"an array of shape {shape}", expected=f"(…, {width})")
    return np.asarray(values, dtype=np.float32)


def token_rows(activation: Array) -> Array:
    """Return an activation as rows (batch, seq, width): attn_z (batch, heads, seq, value_dim) with
    its heads one after another, any other as it is."""
    if activation.ndim < 4:
        return activation
    batch, heads, seq, width = activation.shape
    return activation.transpose(0, 2, 1, 3).reshape(batch, seq, heads * width)


def dictionary_bytes(description: DictionaryDescription, arrays: Mapping[str, Array]) -> bytes:
    """Return the bytes of a dictionary's file. arrays: float32 or float16, of the shapes of
    `tensor_shapes`."""
    from safetensors.numpy import save

    tensors = {name: np.ascontiguousarray(values) for name, values in arrays.items()}
    made: bytes = save(tensors, {DOCUMENT: json.dumps(description)})
    return made


def read_dictionary(file: Path, shape: ModelShape, weights: str) -> Dictionary:
    """Read a dictionary for a model of this shape with this weights_digest.

    Raises BundleError if the file can't be read, is no dictionary, or belongs to another model.
    """
    return parse_dictionary(read_file(file, _KIND), file, shape, weights)


def parse_dictionary(data: bytes, file: Path, shape: ModelShape, weights: str) -> Dictionary:
    """Check the bytes of a dictionary, as `read_dictionary` does. file: path to name in errors."""
    stored = parse_tensor_file(data, file, _KIND, weights)
    description = cast(DictionaryDescription, stored.description)
    problem = description_problem(description, shape)
    if problem is not None:
        raise stored.damaged(problem)
    wanted = tensor_shapes(description, shape)
    stored.check_tensors(wanted, "by its description and the model's sizes")
    arrays = {name: stored.array(name) for name in stored.places}
    if "threshold" in arrays and bool((arrays["threshold"] < 0).any()):
        raise stored.damaged("a threshold below 0", "thresholds of 0 or more")
    return Dictionary(stored.data, stored.digest, description, arrays, stored.places)
