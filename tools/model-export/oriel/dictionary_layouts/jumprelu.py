"""A JumpReLU SAE in five arrays, as both releases of Gemma Scope have one: they differ in the form
of the file and in how the arrays are called."""

from __future__ import annotations

from oriel.contract.documents import DictionaryActivation
from oriel.dictionary_layouts.folding import Parts, take_mean_away
from oriel.dictionary_layouts.layout import (
    Converted,
    Request,
    check_features,
    check_fits,
    takes_mean_away,
)
from oriel.dictionary_layouts.stored_arrays import StoredArrays

LOWER = ("w_enc", "b_enc", "w_dec", "b_dec", "threshold")
UPPER = ("W_enc", "b_enc", "W_dec", "b_dec", "threshold")


def jumprelu_sae(
    stored: StoredArrays,
    names: tuple[str, str, str, str, str],
    request: Request,
    reads: DictionaryActivation,
    source: str,
) -> Converted:
    """Return an SAE whose features are x @ W_enc + b_enc where that is greater than the threshold,
    and which rebuilds features @ W_dec + b_dec.

    names: of the encoder's weight and bias, the decoder's, and the threshold. Raises BundleError
    where the arrays don't fit the model or one another.
    """
    width, features = stored.width_of(names[0])
    check_fits(request, reads, width, source)
    check_features(request, features)
    shapes = ((width, features), (features,), (features, width), (width,), (features,))
    stored.check(dict(zip(names, shapes, strict=True)))
    encoder, bias, decoder, decoder_bias, threshold = map(stored.read, names)
    parts = Parts(encoder, bias, decoder, decoder_bias, threshold)
    if takes_mean_away(request, reads, by_settings=False):
        parts = take_mean_away(parts)
    return Converted("sae", reads, reads, "jumprelu", source, parts.arrays())
