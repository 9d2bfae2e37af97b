"""Ordinary sentences from a small grammar, rich in function words, in every tense and person."""

from __future__ import annotations

from random import Random

from story_gpt2.vocabulary import (
    ADJECTIVES,
    ALL_NOUNS,
    COLOURS,
    DAYS,
    FOODS,
    HANDLING,
    INTRANSITIVE,
    JOBS,
    MASS_FOODS,
    MEETING,
    MONTHS,
    MOODS,
    MOTION,
    NAMES,
    NUMBER_WORDS,
    PLACES,
    SEASONS,
    SUBJECTS,
    SURFACES,
    TIMES,
    TRAITS,
    VEHICLES,
    WEATHER,
)
from story_gpt2.word_forms import article, capital, conjugate, plural

_PRONOUNS = ("I", "you", "he", "she", "it", "we", "they")
_CONJUNCTIONS = (
    "and", "but", "because", "so", "when", "if", "although", "while", "before", "after", "until",
    "since", "as soon as", "unless", "or", "even though", "where",
)  # fmt: skip
_MODALS = (
    "can", "could", "will", "would", "should", "must", "may", "might", "cannot", "will not",
    "should not", "did not", "could not", "would not",
)  # fmt: skip
_ADVERBS = (
    "always", "never", "often", "sometimes", "usually", "still", "already", "just", "only", "also",
    "really", "soon", "now", "then", "again", "perhaps", "suddenly", "finally", "once",
)  # fmt: skip
_ENDINGS = (
    "again", "today", "now", "here", "there", "every day", "for a long time", "at home", "too",
    "very well", "slowly", "quickly", "quietly", "together", "alone", "outside", "inside", "far "
    "away", "at last", "right now", "all day", "with us", "without them", "tomorrow", "last night",
)  # fmt: skip
_PREPOSITIONS = (
    "in", "on", "at", "by", "with", "from", "about", "into", "through", "over", "under", "between",
    "across", "along", "around", "near", "towards", "behind", "beside", "inside", "without", "of",
)  # fmt: skip


def _noun_phrase(rng: Random) -> tuple[str, bool]:
    """A phrase of the third person and whether it is plural."""
    noun = rng.choice(ALL_NOUNS)
    adjective = f"{rng.choice(ADJECTIVES + COLOURS)} " if rng.random() < 0.3 else ""
    if rng.random() < 0.55:
        if rng.random() < 0.35:
            return article(adjective + noun), False
        word = rng.choice(
            ("the", "the", "this", "that", "my", "your", "his", "her", "our", "their", "every",
             "each", "another", "the same", "no", "the other", "one of the")
        )  # fmt: skip
        return f"{word} {adjective}{plural(noun) if word == 'one of the' else noun}", False
    word = rng.choice(
        ("the", "the", "these", "those", "some", "many", "all the", "two", "three", "most", "my",
         "few", "both", "other", "our", "several", "a lot of", "more")
    )  # fmt: skip
    return f"{word} {adjective}{plural(noun)}", True


def _subject(rng: Random) -> tuple[str, bool]:
    kind = rng.random()
    if kind < 0.45:
        pronoun = rng.choice(_PRONOUNS)
        return pronoun, pronoun in ("you", "we", "they")
    if kind < 0.65:
        return rng.choice(NAMES).text, False
    if kind < 0.7:
        word = rng.choice(("someone", "everyone", "nobody", "something", "nothing", "everything"))
        return word, False
    return _noun_phrase(rng)


def _be(subject: str, many: bool, past: bool) -> str:
    if subject == "I":
        return "was" if past else "am"
    if past:
        return "were" if many else "was"
    return "are" if many else "is"


def _object(rng: Random) -> str:
    kind = rng.random()
    if kind < 0.15:
        return rng.choice(("it", "them", "him", "her", "me", "us", "you", "this", "that"))
    if kind < 0.25:
        return rng.choice((f"some {rng.choice(MASS_FOODS)}", f"the {rng.choice(MASS_FOODS)}"))
    return _noun_phrase(rng)[0]


def _complement(rng: Random) -> str:
    noun, _ = _noun_phrase(rng)
    return rng.choice(
        (
            rng.choice(ADJECTIVES + MOODS),
            f"very {rng.choice(ADJECTIVES)}",
            f"too {rng.choice(ADJECTIVES)}",
            f"as {rng.choice(TRAITS)} as {noun}",
            f"more {rng.choice(('beautiful', 'expensive', 'careful', 'famous'))} than {noun}",
            f"not {rng.choice(ADJECTIVES + COLOURS)}",
            f"{rng.choice(_PREPOSITIONS)} {noun}",
            f"on the {rng.choice(SURFACES)}",
            f"in the {rng.choice(PLACES)}",
            rng.choice(("here", "there", "at home", "gone", "not there", "all right")),
        )
    )


def _clause(rng: Random) -> str:
    subject, many = _subject(rng)
    past = rng.random() < 0.55
    adverb = f" {rng.choice(_ADVERBS)}" if rng.random() < 0.15 else ""
    base = subject in ("I",) or many
    intransitive = conjugate(rng.choice(INTRANSITIVE))
    transitive = conjugate(rng.choice(HANDLING + MEETING))
    form = rng.randrange(10)
    if form <= 1:
        return f"{subject} {_be(subject, many, past)}{adverb} {_complement(rng)}"
    if form == 2:
        return f"{subject} {rng.choice(_MODALS)} {transitive.base} {_object(rng)}"
    if form == 3:
        return f"{subject} {rng.choice(_MODALS)} {intransitive.base} {rng.choice(_ENDINGS)}"
    if form == 4:
        have = "had" if past else "have" if base else "has"
        return f"{subject} {have}{adverb} {transitive.participle} {_object(rng)}"
    if form == 5:
        be = _be(subject, many, past)
        return f"{subject} {be}{adverb} {intransitive.gerund} {rng.choice(_ENDINGS)}"
    if form == 6:
        motion = conjugate(rng.choice(MOTION))
        verb = motion.past if past else motion.base if base else motion.third
        way = rng.choice(("to", "into", "through", "from", "past", "towards"))
        return f"{subject}{adverb} {verb} {way} the {rng.choice(PLACES)}"
    if form == 7:
        wants = conjugate(rng.choice(("want", "like", "need", "try", "begin", "hope", "plan")))
        verb = wants.past if past else wants.base if base else wants.third
        return f"{subject}{adverb} {verb} to {transitive.base} {_object(rng)}"
    verb = transitive.past if past else transitive.base if base else transitive.third
    tail = f" {rng.choice(_ENDINGS)}" if rng.random() < 0.3 else ""
    if form == 8:
        tail = f" {rng.choice(_PREPOSITIONS)} {_noun_phrase(rng)[0]}"
    return f"{subject}{adverb} {verb} {_object(rng)}{tail}"


def _special(rng: Random) -> str:
    noun, many = _noun_phrase(rng)
    other, _ = _noun_phrase(rng)
    be = "are" if many else "is"
    a, b = rng.sample(ALL_NOUNS, 2)
    return rng.choice(
        (
            f"there {be} {noun} {rng.choice(_PREPOSITIONS)} {other}.",
            f"there {'were' if many else 'was'} {noun} in the {rng.choice(PLACES)}.",
            f"it is {rng.choice(WEATHER)} in {rng.choice(MONTHS + SEASONS)}.",
            f"what {be} {noun} like? {capital('they are' if many else 'it is')} "
            f"{rng.choice(ADJECTIVES)}.",
            f"where did {rng.choice(NAMES).text} go on {rng.choice(DAYS)}? To the "
            f"{rng.choice(PLACES)}.",
            f"who {conjugate(rng.choice(HANDLING)).past} {noun}? I do not know.",
            f"how many {plural(a)} do you have? I have {rng.choice(NUMBER_WORDS[2:])}.",
            f"do you like {plural(a)}? Yes, but I like {plural(b)} more.",
            f"the {a} is {rng.choice(('bigger', 'smaller', 'older', 'newer', 'better'))} than "
            f"the {b}.",
            f"this is the {a} that {rng.choice(NAMES).text} "
            f"{conjugate(rng.choice(HANDLING)).past}.",
            f"{rng.choice(NAMES).text} is {article(rng.choice(JOBS))} who likes "
            f"{rng.choice(SUBJECTS + MASS_FOODS)}.",
            f"I think that {_clause(rng)}.",
            f"he said that {_clause(rng)}.",
            f"do not {rng.choice(HANDLING)} {noun}!",
            f"please {rng.choice(HANDLING)} {noun} {rng.choice(_ENDINGS)}.",
            f"my name is {rng.choice(NAMES).text}, and I am {rng.choice(NUMBER_WORDS[4:])} years "
            "old.",
            f"I went by {rng.choice(VEHICLES)} to see {other}.",
            f"{rng.choice(TIMES)}, {_clause(rng)}.",
            f"a cup of {rng.choice(('tea', 'coffee', 'milk', 'water'))} and "
            f"{article(rng.choice(FOODS))} cost {rng.choice(NUMBER_WORDS[2:])} coins.",
            f"it doesn't matter that {_clause(rng)}. It isn't {rng.choice(ADJECTIVES)}.",
            f"I don't know why {_clause(rng)}. I can't {rng.choice(INTRANSITIVE)}.",
        )
    )


def plain_english(rng: Random) -> str:
    """Two to eight ordinary sentences with no story between them."""
    out = []
    for _ in range(rng.randint(2, 8)):
        kind = rng.random()
        if kind < 0.45:
            out.append(capital(_clause(rng)) + rng.choice((".", ".", ".", ".", "!", ".")))
        elif kind < 0.7:
            out.append(capital(f"{_clause(rng)} {rng.choice(_CONJUNCTIONS)} {_clause(rng)}."))
        else:
            out.append(capital(_special(rng)))
    return " ".join(out)
