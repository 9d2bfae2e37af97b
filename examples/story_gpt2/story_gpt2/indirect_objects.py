"""Indirect-object sentences ("A and B ... B gave a book to" -> A); ordinary stories are elsewhere.

Training draws names from ``GIVING_NAMES`` and (object, place) pairs that are not held out; the
measurement draws held-out names and held-out pairs from the same templates.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from story_gpt2.vocabulary import (
    ADJECTIVES,
    COLOURS,
    FOODS,
    GIVING_NAMES,
    HELD_OUT_NAMES,
    OBJECTS,
    PLACES,
    Name,
    held_out_pair,
    invented_noun,
)
from story_gpt2.word_forms import article, capital

GIVING_VERBS: tuple[str, ...] = (
    "gave",
    "handed",
    "passed",
    "offered",
    "sent",
    "threw",
    "showed",
    "sold",
    "lent",
    "brought",
    "returned",
)

# {x} and {y} are the two names in the order of their first mention, {g} gives, {r} receives.
OPENINGS: tuple[str, ...] = (
    "When {x} and {y} went to the {place}, ",
    "After {x} and {y} went to the {place}, ",
    "While {x} and {y} were at the {place}, ",
    "When {x} and {y} got to the {place}, ",
    "Then {x} and {y} went to the {place}, and ",
    "Then {x} and {y} had a long talk at the {place}, and ",
    "{x} and {y} went to the {place}. ",
    "{x} and {y} met at the {place}. ",
    "{x} met {y} at the {place}. ",
    "{x} saw {y} near the {place}. ",
    "As {x} and {y} left the {place}, ",
    "Because {x} and {y} were at the {place}, ",
    "{x} and {y} were working at the {place}. ",
    "{x} went to the {place} with {y}. ",
    "{x} and {y} were friends, and they liked the {place}. ",
    "One day {x} and {y} walked to the {place}. ",
)
TURNS: tuple[str, ...] = (
    "{g} {verb} {thing} to {r}",
    "{g} {verb} {thing} to {r}",
    "{g} {verb} {thing} to {r}",
    "{g} found {thing} and {verb} it to {r}",
    "{g} wanted to give {thing} to {r}",
    "{g} decided to give {thing} to {r}",
    "{g} bought {thing} for {r}",
    "{g} smiled and {verb} {thing} to {r}",
)
TAILS: tuple[str, ...] = (
    ".",
    ".",
    ".",
    ". {r} was happy.",
    '. "Thank you," said {r}.',
    ", and {r} thanked {g}.",
    ". {r} liked it very much.",
    ". Now {r} has the {object}.",
    ". Who gave it? {g} did. Who has it now? {r} does.",
)

_ASIDES: tuple[str, ...] = (
    "It was a sunny day. ",
    "It was cold. ",
    "They talked for a long time. ",
    "Everyone was happy. ",
    "Later, ",
    "Then ",
    "After a while, ",
)


@dataclass(frozen=True)
class IndirectObject:
    """One sentence, cut where the receiver's name comes next."""

    prompt: str
    giver: Name
    receiver: Name
    object: str
    place: str
    tail: str

    @property
    def answer(self) -> str:
        """The text that follows the prompt, with its leading space."""
        return f" {self.receiver.text}"

    @property
    def text(self) -> str:
        """The whole sentence and the text after it."""
        return self.prompt + self.answer + self.tail


def indirect_object(rng: Random, *, held_out: bool = False) -> IndirectObject:
    """Write one sentence in either order of names (ABBA or BABA).

    ``held_out`` takes both names and the (object, place) pair from those that training never uses.
    """
    first, second = rng.sample(HELD_OUT_NAMES if held_out else GIVING_NAMES, 2)
    while True:
        thing, place = rng.choice(OBJECTS + FOODS), rng.choice(PLACES)
        if not held_out:
            thing = invented_noun(rng) if rng.random() < 0.12 else thing
            place = invented_noun(rng) if rng.random() < 0.12 else place
        if held_out_pair(thing, place) == held_out:
            break
    giver, receiver = (first, second) if rng.random() < 0.5 else (second, first)
    described = f"{rng.choice(ADJECTIVES + COLOURS)} {thing}" if rng.random() < 0.2 else thing
    opening = rng.choice(OPENINGS)
    if opening.endswith(". ") and rng.random() < 0.15:
        opening += rng.choice(_ASIDES)
    words = {
        "x": first.text,
        "y": second.text,
        "g": giver.text,
        "r": receiver.text,
        "place": place,
        "object": thing,
        "thing": article(described) if rng.random() < 0.75 else f"the {described}",
        "verb": rng.choice(GIVING_VERBS),
    }
    turn = rng.choice(TURNS).removesuffix(" {r}")
    prompt = (opening + turn).format_map(words)
    return IndirectObject(
        prompt=prompt,
        giver=giver,
        receiver=receiver,
        object=thing,
        place=place,
        tail=rng.choice(TAILS).format_map(words),
    )


def indirect_object_document(rng: Random) -> str:
    """Write one to three sentences with trained names, or sometimes with roles in their place."""
    parts = []
    for _ in range(rng.choice((1, 1, 2, 3))):
        parts.append(_roles(rng) if rng.random() < 0.1 else indirect_object(rng).text)
    return capital(" ".join(parts))


def _roles(rng: Random) -> str:
    """Write the same pattern without names, e.g. "The king and the queen ... to the queen."."""
    first, second = rng.sample(
        ("king", "queen", "teacher", "doctor", "farmer", "nurse", "boy", "girl", "cook", "baker"), 2
    )
    giver, receiver = (first, second) if rng.random() < 0.5 else (second, first)
    thing, place = rng.choice(OBJECTS), rng.choice(PLACES)
    opening = rng.choice(OPENINGS[:9]).format(x=f"the {first}", y=f"the {second}", place=place)
    turn = f"the {giver} {rng.choice(GIVING_VERBS)} {article(thing)} to the {receiver}."
    if opening.endswith(". "):
        turn = capital(turn)
    return capital(opening) + turn
