"""Edits that add a feature of a dictionary to a run, or set it to a value. Bundle.add_feature and
Bundle.clamp_feature give these edits for a dictionary of a bundle."""

from __future__ import annotations

import numpy as np

from oriel.arrays import Array
from oriel.contract.activation_names import ModelShape, kinds
from oriel.contract.documents import DictionaryActivation
from oriel.dictionaries.dictionary_file import Dictionary
from oriel.errors import OptionError
from oriel.runtime.edits import Add, Clamp, Positions


def add_feature(
    dictionary: Dictionary,
    feature: int,
    strength: float,
    shape: ModelShape,
    position: Positions = None,
) -> Add:
    """Return the edit that adds strength times the feature's row of the decoder to the activation
    that the dictionary writes. shape: the model's sizes. Raises OptionError for a feature that the
    dictionary doesn't have."""
    row = _row(dictionary.arrays["decoder_weight"][_checked(feature, dictionary)])
    writes = dictionary.description["writes"]
    spec = kinds()[writes["kind"]].spec(shape, writes["layer"])
    if len(spec.shape) == 4:
        # The decoder has the heads one after another; the joint has them in a dimension.
        row = row.reshape(1, int(spec.shape[1]), 1, int(spec.shape[3]))
    return Add(
        writes["kind"], layer=writes["layer"], vector=row, strength=strength, position=position
    )


def clamp_feature(
    dictionary: Dictionary, feature: int, value: float, position: Positions = None
) -> Clamp:
    """Return the edit that sets a feature to a value at the activation that the dictionary reads
    and writes. Raises OptionError for a feature that the dictionary doesn't have, and for a
    dictionary whose features can't be set: one that writes another activation than it reads, or
    one in which a feature depends on the others (topk)."""
    index = _checked(feature, dictionary)
    description = dictionary.description
    reads, writes = description["reads"], description["writes"]
    if reads != writes:
        raise _unfit(f"it reads {_said(reads)} and writes {_said(writes)}")
    if description["activation"] == "topk":
        raise _unfit(f"it keeps the {description['k']} greatest features of a token")
    has_threshold = description["activation"] == "jumprelu"
    return Clamp(
        reads["kind"],
        layer=reads["layer"],
        encoder=_row(dictionary.arrays["encoder_weight"][:, index]),
        bias=float(dictionary.arrays["encoder_bias"][index]),
        threshold=float(dictionary.arrays["threshold"][index]) if has_threshold else 0.0,
        direction=_row(dictionary.arrays["decoder_weight"][index]),
        value=value,
        position=position,
    )


def _row(values: Array) -> Array:
    """Return a copy in float32: an edit that is kept shall not keep the whole matrix."""
    return np.array(values, dtype=np.float32)


def _said(place: DictionaryActivation) -> str:
    return kinds()[place["kind"]].at(place["layer"])


def _checked(feature: object, dictionary: Dictionary) -> int:
    count = int(dictionary.description["features"])
    is_whole = isinstance(feature, (int, np.integer)) and not isinstance(feature, bool)
    if not is_whole or not 0 <= int(feature) < count:  # type: ignore[call-overload]
        raise OptionError(
            "the dictionary has no such feature",
            got=f"feature {feature}",
            expected=f"0 to {count - 1}: it has {count} features",
        )
    return int(feature)  # type: ignore[call-overload,no-any-return]


def _unfit(reason: str) -> OptionError:
    return OptionError(
        "a feature of this dictionary can't be set to a value",
        got=reason,
        expected="a dictionary that reads and writes one activation, with relu or jumprelu",
        next_step="add the feature: bundle.add_feature(name, feature, strength).",
    )
