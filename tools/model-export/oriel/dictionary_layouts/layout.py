"""A layout of dictionaries: how it is recognized, and how one becomes the bytes of a dictionary
file. What layouts have in common of descriptions and checks is here too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from oriel.arrays import Array
from oriel.contract.activation_names import ModelShape
from oriel.contract.dictionaries import row_spec, row_width
from oriel.contract.documents import DictionaryActivation, DictionaryDescription
from oriel.dictionaries.dictionary_file import dictionary_bytes
from oriel.errors import BundleError, OptionError

MOST_FEATURES = 1 << 20
"""Largest number of features of a dictionary, by the contract."""
_SOURCE_LENGTH = 256
_STREAM_KINDS = ("resid_pre", "resid_mid", "resid_post", "attn_output", "mlp_output")


@dataclass(frozen=True)
class Request:
    """A dictionary to be read, and what it is read for."""

    path: Path
    shape: ModelShape
    weights: str
    """weights_digest of the model."""
    norms_center: bool = True
    """The model's norms take the mean away, so that it makes no difference to the model."""
    reads: DictionaryActivation | None = None
    """The activation that the caller says it reads, for layouts that don't."""
    centered: bool = False
    """The caller says that it was trained on a stream whose mean was taken away."""


@dataclass(frozen=True)
class Layout:
    """A form in which dictionaries come."""

    name: str
    holds: str
    """Its files, as errors name them."""
    is_of: Callable[[Path], bool]
    file_bytes: Callable[[Request], bytes]
    """Return the bytes of a dictionary file. Raises OrielError where the dictionary can't be used
    or can't be converted exactly."""
    reads_norms: bool = True
    """`file_bytes` makes use of the request's norms_center."""


@dataclass(frozen=True)
class TwoFiles:
    """A folder of settings and weights, which its own path or that of one of the files names."""

    settings: str
    weights: str

    def folder(self, path: Path) -> Path:
        """Return the folder that a path names."""
        return path.parent if path.name in (self.settings, self.weights) else path

    def are_in(self, path: Path) -> bool:
        """Return whether the folder that a path names has both files."""
        folder = self.folder(path)
        return (folder / self.settings).is_file() and (folder / self.weights).is_file()

    def __str__(self) -> str:
        return f"{self.settings} and {self.weights}"


@dataclass(frozen=True)
class Converted:
    """A dictionary in the terms of the contract, before its file is made."""

    kind: Literal["sae", "transcoder"]
    reads: DictionaryActivation
    writes: DictionaryActivation
    activation: Literal["relu", "jumprelu", "topk"]
    source: str
    arrays: Mapping[str, Array] = field(repr=False)
    """{tensor of a dictionary file: values}, float32."""
    k: int | None = None

    def file_bytes(self, request: Request) -> bytes:
        """Return the bytes of the dictionary's file for the request's model."""
        description: DictionaryDescription = {
            "kind": self.kind,
            "weights": request.weights,
            "reads": self.reads,
            "writes": self.writes,
            "features": len(self.arrays["encoder_bias"]),
            "activation": self.activation,
            "source": _printable(self.source)[:_SOURCE_LENGTH],
        }
        if self.k is not None:
            description["k"] = self.k
        return dictionary_bytes(description, self.arrays)


def check_fits(request: Request, activation: DictionaryActivation, width: int, said: str) -> None:
    """Raise BundleError where a model lacks an activation, or has it in another width.

    said: what the dictionary says it was made for, such as "gpt2-small, blocks.8.hook_resid_pre".
    """
    layer, kind = int(activation["layer"]), activation["kind"]
    spec = row_spec(activation, request.shape)
    if spec is None:
        there = f"layers 0 to {request.shape.layers - 1}"
        raise BundleError(
            f"the dictionary {request.path.name} is of a layer or a part that this model lacks",
            got=f"{kind} of layer {layer} ({said})",
            expected=there if layer >= request.shape.layers else f"a model that has {kind}",
            next_step="give the bundle of its own model.",
        )
    if row_width(spec) != width:
        raise BundleError(
            f"the dictionary {request.path.name} belongs to another model or activation",
            got=f"rows of {width} numbers ({said})",
            expected=f"{row_width(spec)}, the width of this model's {kind} of layer {layer}",
            next_step="give the bundle of its own model.",
        )


def check_reads(request: Request, reads: DictionaryActivation, said: str = "") -> None:
    """Raise OptionError where the caller names another activation than the files do. said: words
    for where they do, such as ", by its config.json"."""
    if request.reads is not None and request.reads != reads:
        raise OptionError(
            f"--reads contradicts the dictionary {request.path.name}",
            got=f"{request.reads['kind']}:{int(request.reads['layer'])}",
            expected=f"{reads['kind']}:{int(reads['layer'])}{said}, or no --reads",
        )


def check_features(request: Request, features: int) -> None:
    """Raise BundleError for a number of features that no dictionary can have."""
    if not 1 <= features <= MOST_FEATURES:
        raise BundleError(
            f"the dictionary {request.path.name} can't be used",
            got=f"{features} features",
            expected=f"1 to {MOST_FEATURES}",
            next_step="choose another dictionary.",
        )


def takes_mean_away(request: Request, reads: DictionaryActivation, by_settings: bool) -> bool:
    """Return whether a dictionary was trained on an activation whose mean was taken away.
    TransformerLens does that to the stream and to what is added to it, by centering the weights
    that write into it, if it is told to and the model's norms take the mean away.

    by_settings: the dictionary's own settings say so. Raises OptionError where the caller says so
    and it can't be.
    """
    if reads["kind"] in _STREAM_KINDS and request.norms_center:
        return request.centered or by_settings
    if request.centered:
        raise OptionError(
            "--centered can't be true of this dictionary",
            got=f"{reads['kind']}, in a model whose norms "
            + ("take the mean away" if request.norms_center else "leave the mean"),
            expected=f"one of {', '.join(_STREAM_KINDS)}, in a model with LayerNorm",
        )
    return False


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
