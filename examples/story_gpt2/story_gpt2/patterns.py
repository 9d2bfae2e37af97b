"""Documents that follow a rule: brackets, quotes, counting, calendars, repeats, sums.

Repeated sequences of random *tokens* are made at id level in batches.py.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from story_gpt2.vocabulary import (
    ADJECTIVES,
    ALL_NOUNS,
    ANIMALS,
    COLOURS,
    DAYS,
    FOODS,
    MONTHS,
    NAMES,
    NUMBER_WORDS,
    OBJECTS,
    ORDINALS,
    SEASONS,
)
from story_gpt2.word_forms import article, capital, plural

BRACKETS: tuple[tuple[str, str], ...] = (("(", ")"), ("[", "]"), ("{", "}"), ("<", ">"))


def brackets(rng: Random) -> str:
    """Nested, always balanced brackets: bare, or around words."""
    if rng.random() < 0.5:
        return " ".join(_bare(rng, 0, rng.randint(4, 30)))
    words = rng.choice((OBJECTS, COLOURS, ANIMALS, NUMBER_WORDS))
    return "".join(_around_words(rng, words, 0)).strip()


def _bare(rng: Random, depth: int, budget: int) -> list[str]:
    out: list[str] = []
    while budget > 1:
        size = rng.randint(0, budget - 2)
        opened, closed = rng.choice(BRACKETS)
        inner = _bare(rng, depth + 1, size) if depth < 6 else []
        out += [opened, *inner, closed]
        budget -= 2 + len(inner)
        if rng.random() < 0.2:
            break
    return out


def _around_words(rng: Random, words: tuple[str, ...], depth: int) -> list[str]:
    out: list[str] = []
    for place in range(rng.randint(2, 4)):
        space = " " if place or not depth else ""
        if depth < 4 and rng.random() < 0.35:
            opened, closed = rng.choice(BRACKETS)
            out += [space, opened, *_around_words(rng, words, depth + 1), closed]
        else:
            out.append(space + rng.choice(words))
    return out


def quotes(rng: Random) -> str:
    """Sentences with double and single quotes that open and close, one inside the other too."""
    out = []
    for _ in range(rng.randint(1, 4)):
        name, other = rng.sample(NAMES, 2)
        noun, colour = rng.choice(OBJECTS), rng.choice(COLOURS)
        adjective = rng.choice(ADJECTIVES)
        out.append(
            rng.choice(
                (
                    f'{name.text} said, "The {noun} is {colour}."',
                    f'"The {noun} is {adjective}," said {name.text}.',
                    f'"Is the {noun} {colour}?" asked {name.text}. '
                    f'"Yes, it is," said {other.text}.',
                    f'"Is the {noun} {colour}?" asked {name.text}. "No, it is {adjective}," '
                    f"{other.text} answered.",
                    f"\"{other.text} said, 'The {noun} is {colour},'\" said {name.text}.",
                    f'The word "{noun}" is on the {adjective} page.',
                    f'On the {noun} was written: "{rng.choice(COLOURS)} {rng.choice(ANIMALS)}".',
                    f"The {noun} (a {colour} one) was {adjective}.",
                    f"The {noun} ({article(adjective)} one [from {name.text}]) was {colour}.",
                    f'{name.text} called it "the {colour} {noun}" and {other.text} laughed.',
                )
            )
        )
    return " ".join(out)


def counting(rng: Random) -> str:
    """Numbers up, down and by steps, in digits or words."""
    joint = rng.choice((" ", ", "))
    if rng.random() < 0.5:
        step = rng.choice((1, 1, 1, 2, 3, 5, 10))
        start = rng.randint(0, 60)
        numbers = [str(start + step * i) for i in range(rng.randint(5, 20))]
    else:
        start = rng.randint(0, 15)
        numbers = list(NUMBER_WORDS[start : start + rng.randint(5, 21)])
        if rng.random() < 0.2:
            numbers = numbers[::2]
    if rng.random() < 0.35:
        numbers.reverse()
    return joint.join(numbers) + rng.choice((".", ""))


def calendar(rng: Random) -> str:
    """Days and months in order, and what comes before and after each."""
    words, kind = rng.choice(((DAYS, "day"), (MONTHS, "month")))
    start, size = rng.randrange(len(words)), len(words)
    form = rng.randrange(6)
    if form == 0:
        joint = rng.choice((", ", " "))
        return joint.join(words[(start + i) % size] for i in range(rng.randint(4, 16)))
    if form == 1:
        return ", ".join(words[(start - i) % size] for i in range(rng.randint(4, 10)))
    out = []
    for _ in range(rng.randint(1, 4)):
        i = rng.randrange(size)
        here, after, before = words[i], words[(i + 1) % size], words[(i - 1) % size]
        out.append(
            rng.choice(
                (
                    f"The {kind} after {here} is {after}.",
                    f"The {kind} before {here} is {before}.",
                    f"After {here} comes {after}.",
                    f"{here} comes before {after}.",
                    f"{here} comes after {before}.",
                    f"This {kind} is {here}. The next {kind} is {after}. "
                    f"The last {kind} was {before}.",
                )
            )
        )
    if words is DAYS and rng.random() < 0.4:
        day = DAYS[start]
        out.append(
            f"Today is {day}. Tomorrow is {DAYS[(start + 1) % 7]}. "
            f"Yesterday was {DAYS[(start - 1) % 7]}."
        )
    if rng.random() < 0.2:
        at = rng.randrange(4)
        out.append(f"After {SEASONS[at]} comes {SEASONS[(at + 1) % 4]}.")
    if rng.random() < 0.2:
        at = rng.randrange(12)
        out.append(f"The {ORDINALS[at]} month of the year is {MONTHS[at]}.")
    return " ".join(out)


def alphabet(rng: Random) -> str:
    """Letters in order."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    if rng.random() < 0.5:
        letters = letters.lower()
    start = rng.choice((0, 0, rng.randint(0, 18)))
    return " ".join(letters[start : start + rng.randint(5, 26)])


def sums(rng: Random) -> str:
    """Small sums in digits or words."""
    out = []
    for _ in range(rng.randint(2, 8)):
        left, right = rng.randint(0, 10), rng.randint(0, 10)
        if rng.random() < 0.3:
            left, right = max(left, right), min(left, right)
            out.append(f"{left} - {right} = {left - right}.")
        elif rng.random() < 0.4:
            words = NUMBER_WORDS
            out.append(capital(f"{words[left]} and {words[right]} is {words[left + right]}."))
        else:
            out.append(f"{left} + {right} = {left + right}.")
    return " ".join(out)


def repeated_words(rng: Random) -> str:
    """A list of random words, said two to four times."""
    source = rng.choice((ALL_NOUNS, COLOURS + ANIMALS, tuple(n.text for n in NAMES), ADJECTIVES))
    words = [rng.choice(source) for _ in range(rng.randint(4, 16))]
    joint = rng.choice((" ", ", "))
    return joint.join(words * rng.randint(2, 4)) + rng.choice((".", ""))


def lists(rng: Random) -> str:
    """Singular and plural pairs, groups of a kind, and small definitions."""
    out = []
    for _ in range(rng.randint(2, 5)):
        noun = rng.choice(ALL_NOUNS)
        number = rng.randint(2, 12)
        group, kind = rng.choice(((ANIMALS, "animal"), (COLOURS, "colour"), (FOODS, "food")))
        one = str if group is COLOURS else article
        a, b, c = rng.sample(group, 3)
        out.append(
            rng.choice(
                (
                    f"One {noun}, {NUMBER_WORDS[number]} {plural(noun)}.",
                    f"There is one {noun}. There are {NUMBER_WORDS[number]} {plural(noun)}.",
                    f"{capital(one(a))} is {article(kind)}, and {one(b)} is {article(kind)} too.",
                    f"{capital(a)}, {b} and {c}.",
                    f"{capital(article(rng.choice(ANIMALS)))} is an animal.",
                )
            )
        )
    return " ".join(out)


PATTERNS: dict[str, Callable[[Random], str]] = {
    "brackets": brackets,
    "quotes": quotes,
    "counting": counting,
    "calendar": calendar,
    "alphabet": alphabet,
    "sums": sums,
    "repeated_words": repeated_words,
    "lists": lists,
}
"""Every kind of pattern document, by name."""
