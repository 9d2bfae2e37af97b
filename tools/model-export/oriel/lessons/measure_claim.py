"""Measures a lesson's claims on a bundle. The same on the page:
apps/web/src/lessons/measure_claim.ts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from oriel.analysis.attribution import attribute
from oriel.analysis.metrics import log_softmax
from oriel.arrays import Array
from oriel.contract.activation_names import kinds
from oriel.contract.documents import (
    AttentionClaim,
    AttributionClaim,
    ClaimRecord,
    DifferenceClaim,
    LensClaim,
)
from oriel.errors import OptionError
from oriel.lessons.page_state import PageState, Sampling, edits_of, ids_of
from oriel.runtime.bundle import Bundle
from oriel.runtime.edits import Edit
from oriel.runtime.run import Run


@dataclass(frozen=True)
class Measured:
    """What a claim is about, in words, and whether it holds."""

    holds: bool
    says: str


class StateRun:
    """A state of the page, run once: its claims are measured on it."""

    def __init__(self, bundle: Bundle, state: PageState, claims: Sequence[ClaimRecord]) -> None:
        """claims: those that will be measured. Raises OptionError for a state that isn't of this
        model."""
        self._bundle, self._state = bundle, state
        self._ids = ids_of(state, bundle)
        if not self._ids:
            raise OptionError(
                "the state has no text", next_step="write one, then copy the address."
            )
        if state.lens not in bundle.lenses:
            raise OptionError(
                "the model has no such lens", got=state.lens, expected=" or ".join(bundle.lenses)
            )
        self._edits: list[Edit] = edits_of(state, bundle)
        names = {name for claim in claims for name in self._activations(claim)}
        lens = state.lens if any(claim["claim"] == "lens" for claim in claims) else None
        self._run: Run = bundle.run(
            [self._ids], activations=sorted(names), edits=self._edits, logits=1, lens=lens
        )

    @property
    def logits(self) -> Array:
        """(vocab), float32, of the last token."""
        found: Array = self._run.logits[0, -1]
        return found

    def measure(self, claim: ClaimRecord) -> Measured:
        """Return what is so. Raises OptionError for a claim that isn't of this model or text."""
        logits = self.logits.astype(np.float64)
        if claim["claim"] == "probability":
            value = float(np.exp(log_softmax(logits))[self._token(claim["token"])])
            return _within(claim, f"probability of {claim['token']!r}", value)
        if claim["claim"] == "drawn":
            drawn = sampling_distribution(logits, self._state.sampling)
            value = float(drawn[self._token(claim["token"])])
            return _within(claim, f"probability that sampling draws {claim['token']!r}", value)
        if claim["claim"] == "kept":
            kept = int((sampling_distribution(logits, self._state.sampling) > 0).sum())
            return _within(claim, "tokens that sampling may draw", kept)
        if claim["claim"] == "likeliest":
            found = int(logits.argmax())
            return self._same_token("likeliest next token", found, claim["token"])
        if claim["claim"] == "difference":
            return self._difference(claim, logits)
        if claim["claim"] == "lens":
            return self._lens(claim)
        if claim["claim"] == "attention":
            return self._attention(claim)
        return self._attribution(claim)

    def _activations(self, claim: ClaimRecord) -> list[str]:
        if claim["claim"] == "lens":
            return [kinds()["lens_ids"].at(self._layer(claim["layer"]))]
        if claim["claim"] == "attention":
            return [kinds()["attn_probs"].at(self._head(claim["head"])[0])]
        return []

    def _layer(self, layer: int) -> int:
        if layer >= self._bundle.shape.layers:
            raise OptionError(
                "the model has no such layer",
                got=f"layer {layer}",
                expected=f"0 to {self._bundle.shape.layers - 1}",
            )
        return layer

    def _head(self, text: str) -> tuple[int, int]:
        layer, head = map(int, text.split("."))
        if self._layer(layer) is None or head >= self._bundle.shape.heads:
            raise OptionError(
                "the model has no such head",
                got=text,
                expected=f"heads 0 to {self._bundle.shape.heads - 1}",
            )
        return layer, head

    def _token(self, text: str) -> int:
        """Return the id of the one token that a text is."""
        if self._bundle.manifest.data.get("tokenizer") is None:
            if not text.isdecimal() or int(text) >= self._bundle.shape.vocab:
                raise OptionError("the model has no tokenizer, and this is no id", got=repr(text))
            return int(text)
        ids = self._bundle.tokenizer.encode(text, add_special_tokens=False).ids
        if len(ids) != 1:
            raise OptionError(
                "a claim's token is not one token of the model",
                got=f"{text!r}, of {len(ids)}",
                expected="one, with the space before it that belongs to it",
            )
        return int(ids[0])

    def _named(self, token: int) -> str:
        if self._bundle.manifest.data.get("tokenizer") is None:
            return f"#{token}"
        return repr(self._bundle.decode([token]))

    def _same_token(self, what: str, found: int, wanted: str) -> Measured:
        holds = found == self._token(wanted)
        expected = "" if holds else f", expected {wanted!r}"
        return Measured(holds, f"{what} is {self._named(found)}{expected}")

    def _difference(self, claim: DifferenceClaim, logits: Array) -> Measured:
        one, other = self._token(claim["token"]), self._token(claim["other"])
        what = f"logit of {claim['token']!r} minus {claim['other']!r}"
        return _within(claim, what, float(logits[one] - logits[other]))

    def _lens(self, claim: LensClaim) -> Measured:
        found = int(self._run.of("lens_ids", claim["layer"])[0, -1, 0])
        return self._same_token(
            f"likeliest token after layer {claim['layer']}", found, claim["token"]
        )

    def _attention(self, claim: AttentionClaim) -> Measured:
        layer, head = self._head(claim["head"])
        look, key = int(claim["from"]), int(claim["to"])
        if max(look, key) >= len(self._ids):
            raise OptionError(
                "a claim's place lies beyond the text",
                got=str(max(look, key)),
                expected=f"0 to {len(self._ids) - 1}",
            )
        value = float(self._run.of("attn_probs", layer)[0, head, look, key])
        what = f"attention of head {claim['head']} from {look} to {key}"
        return _within(claim, what, value)

    def _attribution(self, claim: AttributionClaim) -> Measured:
        wanted = [self._head(head) for head in claim["heads"]]
        token = self._token(claim["token"])
        other = self._token(claim["other"]) if "other" in claim else None
        shares = attribute(self._bundle, [self._ids], token, other, edits=self._edits)
        last = np.stack([layer[0, :, -1] for layer in shares.heads])
        order = np.argsort(-last, axis=None, kind="stable")[: len(wanted)]
        found = [(int(at) // last.shape[1], int(at) % last.shape[1]) for at in order]
        said = ", ".join(f"{layer}.{head} ({last[layer, head]:+.2f})" for layer, head in found)
        holds = found == wanted
        expected = "" if holds else f", expected {', '.join(claim['heads'])}"
        over = f" over {claim['other']!r}" if "other" in claim else ""
        return Measured(holds, f"heads that favour {claim['token']!r}{over}: {said}{expected}")


def sampling_distribution(logits: Array, sampling: Sampling) -> Array:
    """Return the probabilities that are drawn from, (vocab), 0 for tokens that are cut:
    temperature, then top-k, then top-p, as in generate() of transformers."""
    if sampling.temperature <= 0:
        found = np.zeros_like(logits)
        found[logits.argmax()] = 1
        return found
    probs: Array = np.exp(log_softmax(logits / sampling.temperature))
    order = np.argsort(-probs, kind="stable")
    if 0 < sampling.top_k < len(probs):
        probs = _only(probs, order[: sampling.top_k])
    if sampling.top_p < 1:
        # The first at which the sum reaches top-p is kept.
        reached = int(np.searchsorted(np.cumsum(probs[order]), sampling.top_p)) + 1
        probs = _only(probs, order[:reached])
    return probs


def _only(probs: Array, kept: Array) -> Array:
    found = np.zeros_like(probs)
    found[kept] = probs[kept] / probs[kept].sum()
    return found


def _within(claim: Mapping[str, object], what: str, value: float) -> Measured:
    least, most = float(str(claim["least"])), float(str(claim["most"]))
    holds = least <= value <= most
    return Measured(holds, f"{what} is {value:.4g}, expected {least:.4g} to {most:.4g}")
