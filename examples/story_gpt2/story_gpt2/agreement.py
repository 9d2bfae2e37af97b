"""Subject-verb number agreement across attractors; the generator and the measured cases."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from story_gpt2.vocabulary import (
    ADJECTIVES,
    ANIMALS,
    COLOURS,
    FURNITURE,
    JOBS,
    NATURE,
    OBJECTS,
    PLACES,
    VEHICLES,
    held_out_pair,
    invented_noun,
)
from story_gpt2.word_forms import article, capital, conjugate, plural

PREPOSITIONS: tuple[str, ...] = (
    "near", "behind", "beside", "next to", "in front of", "by", "under", "above", "from", "with",
    "to", "on", "in",
)  # fmt: skip
_LIVING = tuple(noun for noun in ANIMALS + JOBS if plural(noun) != noun)
HEADS: tuple[str, ...] = OBJECTS + _LIVING + VEHICLES + NATURE
"""Nouns whose singular and plural differ, so that the verb's form is settled."""
ATTRACTORS: tuple[str, ...] = FURNITURE + PLACES + HEADS

AUXILIARIES: tuple[tuple[str, str], ...] = (("is", "are"), ("was", "were"), ("has", "have"))
LEXICAL: tuple[tuple[str, str], ...] = tuple(
    (conjugate(base).third, base) for base in ("look", "seem", "belong", "stand", "need", "come")
)
_COMPLEMENTS: dict[str, tuple[str, ...]] = {
    "is": ("very {adj}", "{adj}", "{colour}", "not {adj}", "here", "lost"),
    "was": ("very {adj}", "{adj}", "{colour}", "not {adj}", "here", "lost"),
    "has": ("been {adj}", "been here for a long time", "a {colour} mark", "gone"),
    "looks": ("{adj}", "very {adj}", "{colour}"),
    "seems": ("{adj}", "very {adj}", "to be {adj}"),
    "belongs": ("to the {job}", "here", "to {art_job}"),
    "stands": ("here", "alone", "still"),
    "needs": ("some help", "a new place", "a rest"),
    "comes": ("from the {place}", "from far away"),
}


@dataclass(frozen=True)
class Agreement:
    """A subject with attractors, cut where the verb comes next."""

    prompt: str
    right: str
    """The verb form that agrees, with its leading space."""
    wrong: str
    rest: str
    head: str
    """The head noun as written."""
    plural_head: bool
    attractors: tuple[tuple[str, bool], ...]
    """(noun as written, is plural) for each noun between head and verb."""

    @property
    def text(self) -> str:
        """The whole sentence."""
        return self.prompt + self.right + self.rest


def agreement(
    rng: Random, *, attractors: int | None = None, held_out: bool = False, opposed: bool = False
) -> Agreement:
    """A subject and its verb, 0 to 3 attractors apart.

    ``held_out`` keeps to (head, first attractor) pairs that training never uses; ``opposed`` gives
    at least the nearest attractor the other number.
    """
    count = rng.choice((0, 1, 1, 1, 2, 2, 3)) if attractors is None else attractors
    while True:
        head = rng.choice(HEADS)
        nouns = rng.sample([noun for noun in ATTRACTORS if noun != head], count)
        if not held_out:
            head = invented_noun(rng) if rng.random() < 0.08 else head
            nouns = [invented_noun(rng) if rng.random() < 0.08 else noun for noun in nouns]
        if not nouns or held_out_pair(head, nouns[0]) == held_out:
            break
    many = rng.random() < 0.5
    phrase = plural(head) if many else head
    subject = phrase
    if rng.random() < 0.25:
        subject = f"{rng.choice(ADJECTIVES + COLOURS)} {phrase}"
    prompt = f"{'these' if many else 'this'} {subject}" if rng.random() < 0.1 else f"the {subject}"
    written: list[tuple[str, bool]] = []
    for place, noun in enumerate(nouns):
        last = place == count - 1
        attractor_many = (not many) if opposed and last else rng.random() < 0.5
        form = plural(noun) if attractor_many else noun
        written.append((form, attractor_many))
        if rng.random() < 0.15:
            verb = rng.choice(("saw", "liked", "found", "wanted", "knew"))
            prompt += f" that the {form} {verb}"
        else:
            prompt += f" {rng.choice(PREPOSITIONS)} the {form}"
    pair = rng.choice(AUXILIARIES * 3 + LEXICAL)
    rest = rng.choice(_COMPLEMENTS[pair[0]]).format(
        adj=rng.choice(ADJECTIVES),
        colour=rng.choice(COLOURS),
        job=rng.choice(JOBS),
        art_job=article(rng.choice(JOBS)),
        place=rng.choice(PLACES),
    )
    return Agreement(
        prompt=capital(prompt),
        right=f" {pair[1] if many else pair[0]}",
        wrong=f" {pair[0] if many else pair[1]}",
        rest=f" {rest}.",
        head=phrase,
        plural_head=many,
        attractors=tuple(written),
    )


def agreement_document(rng: Random) -> str:
    """One to four agreeing sentences."""
    return " ".join(agreement(rng).text for _ in range(rng.choice((1, 2, 3, 4))))
