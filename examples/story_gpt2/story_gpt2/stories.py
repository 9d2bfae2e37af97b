"""Short stories whose facts (places, colours, owners, feelings) are tracked and asked about.

Each story keeps what is true in a ``_Story``; questions at the end are answered from it.
Indirect-object sentences between two names are left to indirect_objects.py, except here among
names that training may give things to.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from story_gpt2.vocabulary import (
    ADJECTIVES,
    ANIMALS,
    COLOURS,
    CONTAINERS,
    DAYS,
    EATING,
    FOODS,
    GIVING_NAMES,
    HANDLING,
    HELD_OUT_NAMES,
    INTRANSITIVE,
    JOBS,
    MASS_FOODS,
    MEETING,
    MONTHS,
    MOODS,
    MOTION,
    NAMES,
    NUMBER_WORDS,
    OBJECTS,
    OPENABLE,
    PLACES,
    ROOMS,
    SEASONS,
    SUBJECTS,
    SURFACES,
    TIMES,
    TRAITS,
    VEHICLES,
    WEATHER,
    Name,
    invented_noun,
)
from story_gpt2.word_forms import article, capital, conjugate, plural

ROLES: tuple[str, ...] = tuple(
    "mother father sister brother friend teacher aunt uncle cousin neighbour grandmother "
    "grandfather doctor".split()
)


@dataclass
class _Thing:
    noun: str
    colour: str
    where: str
    owner: Name | None = None


@dataclass
class _Story:
    rng: Random
    cast: list[Name]
    place: str
    things: list[_Thing] = field(default_factory=list)
    moods: dict[str, str] = field(default_factory=dict)
    at: dict[str, str] = field(default_factory=dict)
    likes: dict[str, str] = field(default_factory=dict)
    jobs: dict[str, str] = field(default_factory=dict)
    last: Name | None = None
    """The person of the last sentence, for whom a pronoun may be used."""

    def who(self, name: Name | None = None) -> tuple[str, Name]:
        """Return a subject, sometimes a pronoun if the person was the last one mentioned."""
        name = name or self.rng.choice(self.cast)
        pronoun = name is self.last and self.rng.random() < 0.7
        self.last = name
        return (name.subject if pronoun else name.text), name


def _spot(rng: Random) -> str:
    if rng.random() < 0.5:
        return f"in the {rng.choice(CONTAINERS)}"
    return f"{rng.choice(('on', 'under', 'behind', 'near', 'on'))} the {rng.choice(SURFACES)}"


def _new_thing(story: _Story) -> _Thing:
    rng = story.rng
    noun = invented_noun(rng) if rng.random() < 0.05 else rng.choice(OBJECTS)
    thing = _Thing(noun, rng.choice(COLOURS), _spot(rng))
    story.things.append(thing)
    return thing


def _opening(story: _Story) -> str:
    rng, cast = story.rng, story.cast
    a = cast[0]
    when = rng.choice((*TIMES, f"on {rng.choice(DAYS)}", f"in {rng.choice(MONTHS)}"))
    story.at[a.text] = story.place
    story.last = a
    if len(cast) > 1:
        b = cast[1]
        story.at[b.text] = story.place
        story.last = None
        return rng.choice(
            (
                f"{capital(when)} {a.text} and {b.text} went to the {story.place}.",
                f"{a.text} and {b.text} were at the {story.place}.",
                f"{a.text} and {b.text} lived near the {story.place}.",
                f"{a.text} met {b.text} at the {story.place} {when}.",
                f"There were two friends, {a.text} and {b.text}.",
                f"{capital(when)}, {a.text} saw {b.text} in the {story.place}.",
            )
        )
    trait, job = rng.choice(TRAITS), rng.choice(JOBS)
    story.jobs[a.text] = job
    return rng.choice(
        (
            f"{capital(when)} {a.text} went to the {story.place}.",
            f"There was once {article(trait + ' ' + job)} called {a.text}.",
            f"{a.text} was {article(job)}. {capital(a.subject)} lived near the {story.place}.",
            f"{a.text} was {article(trait + ' ' + job)} and worked at the {story.place}.",
            f"{capital(when)}, {a.text} was alone at the {story.place}.",
        )
    )


def _be(name: Name, subject: str) -> str:
    return "were" if subject == "they" and name.gender == "neutral" else "was"


def _introduce(story: _Story) -> str:
    rng, thing = story.rng, _new_thing(story)
    subject, name = story.who()
    subject = capital(subject)
    form = rng.randrange(6)
    noun, colour = thing.noun, thing.colour
    if form == 0:
        return f"There was {article(colour + ' ' + noun)} {thing.where}."
    if form == 1:
        thing.owner = name
        thing.where = ""
        return f"{subject} had {article(colour + ' ' + noun)}."
    if form == 2:
        return f"{subject} put {article(noun)} {thing.where}. The {noun} was {colour}."
    if form == 3:
        return f"{subject} found {article(colour + ' ' + noun)} {thing.where}."
    if form == 4:
        return f"{subject} saw {article(noun)} {thing.where}. It was {colour}."
    thing.owner = name
    return f"{capital(name.possessive)} {noun} was {colour}, and it was {thing.where}."


def _move(story: _Story) -> str:
    rng = story.rng
    if not story.things:
        return _introduce(story)
    thing = rng.choice(story.things)
    subject, _ = story.who()
    spot = _spot(rng)
    thing.where = spot
    noun = thing.noun
    return rng.choice(
        (
            f"{capital(subject)} put the {noun} {spot}.",
            f"{capital(subject)} took the {noun} and put it {spot}.",
            f"Then {subject} moved the {noun}. Now it was {spot}.",
            f"{capital(subject)} left the {noun} {spot}.",
            f"{capital(subject)} hid the {noun} {spot}, so that nobody could find it.",
        )
    )


def _go(story: _Story) -> str:
    rng = story.rng
    subject, name = story.who()
    place = rng.choice(PLACES)
    story.at[name.text] = place
    verb = conjugate(rng.choice(MOTION)).past
    return rng.choice(
        (
            f"{capital(subject)} {verb} to the {place}.",
            f"Then {subject} {verb} to the {place}.",
            f"{capital(subject)} {verb} to the {place} by {rng.choice(VEHICLES)}.",
            f"{capital(subject)} {verb} home, and later {subject} {verb} to the {place}.",
            f"After that, {subject} {verb} to the {place} because it was {rng.choice(WEATHER)}.",
        )
    )


def _mood(story: _Story) -> str:
    rng = story.rng
    subject, name = story.who()
    mood = rng.choice(MOODS)
    story.moods[name.text] = mood
    be = _be(name, subject)
    return rng.choice(
        (
            f"{capital(subject)} {be} {mood}.",
            f"{capital(subject)} {be} very {mood}.",
            f"{capital(subject)} felt {mood}.",
            f"{capital(subject)} {be} so {mood} that {name.subject} could not "
            f"{rng.choice(INTRANSITIVE)}.",
            f"That made {name.text if subject == name.text else name.object} {mood}.",
        )
    )


def _like(story: _Story) -> str:
    rng = story.rng
    subject, name = story.who()
    plural_like = plural(rng.choice(FOODS + ANIMALS + OBJECTS))
    what = rng.choice((plural_like, rng.choice(MASS_FOODS), rng.choice(SUBJECTS)))
    story.likes[name.text] = what
    return rng.choice(
        (
            f"{capital(subject)} liked {what}.",
            f"{capital(subject)} loved {what} very much.",
            f"{capital(subject)} wanted to know more about {what}, because {name.subject} liked "
            f"{what}.",
        )
    )


def _act(story: _Story) -> str:
    rng = story.rng
    subject, name = story.who()
    verb, second = conjugate(rng.choice(INTRANSITIVE)), conjugate(rng.choice(INTRANSITIVE))
    handle, eat = conjugate(rng.choice(HANDLING)), conjugate(rng.choice(EATING))
    noun = story.things[-1].noun if story.things else rng.choice(OBJECTS)
    food, open_ = rng.choice(FOODS), rng.choice(OPENABLE)
    cap = capital(subject)
    return rng.choice(
        (
            f"{cap} {verb.past} and {second.past}.",
            f"{cap} began to {verb.base}.",
            f"{cap} started {verb.gerund} again.",
            f"{cap} {handle.past} the {noun}.",
            f"{cap} wanted to {handle.base} the {noun}, but it was too {rng.choice(ADJECTIVES)}.",
            f"{cap} {eat.past} {article(food)} and {rng.choice(MASS_FOODS)}.",
            f"{cap} {eat.past} {rng.choice(NUMBER_WORDS[2:12])} {plural(food)}.",
            f"{cap} opened the {open_} and looked inside.",
            f"{cap} closed the {open_} with {name.possessive} "
            f"{rng.choice(('hand', 'foot', 'key'))}.",
            f"{cap} looked at {name.reflexive} in the mirror and {verb.past}.",
            f"{cap} could not {verb.base}, so {name.subject} {second.past}.",
            f"When {subject} {verb.past}, everyone {second.past}.",
            f"{cap} {verb.past} with {name.possessive} {rng.choice(ROLES)}.",
            f"{cap} had {verb.participle} all day.",
            f"{cap} {_be(name, subject)} {verb.gerund} in the {rng.choice(ROOMS)}.",
        )
    )


def _meet(story: _Story) -> str:
    rng = story.rng
    if len(story.cast) < 2:
        subject, name = story.who()
        role = rng.choice(ROLES)
        verb = conjugate(rng.choice(MEETING)).past
        return f"{capital(subject)} {verb} {name.possessive} {role}."
    a, b = rng.sample(story.cast, 2)
    meeting = conjugate(rng.choice(MEETING))
    story.last = None
    return rng.choice(
        (
            f"{a.text} {meeting.past} {b.text}, and {b.text} {meeting.past} {a.text}.",
            f"{a.text} {meeting.past} {b.text}.",
            f"{a.text} wanted to {meeting.base} {b.text}, because {b.text} was "
            f"{rng.choice(TRAITS)}.",
            f"{a.text} and {b.text} {conjugate(rng.choice(INTRANSITIVE)).past} together.",
            f"{a.text} helped {b.text} to {rng.choice(INTRANSITIVE)}.",
            f"{a.text} was {rng.choice(TRAITS)}, but {b.text} was {rng.choice(TRAITS)}.",
            f"{a.text} looked at {b.text} and {b.text} looked at {a.text}.",
            f"{a.text} waited for {b.text} near the {rng.choice(PLACES)}.",
        )
    )


def _speech(rng: Random, story: _Story) -> str:
    noun = story.things[-1].noun if story.things else rng.choice(OBJECTS)
    return rng.choice(
        (
            f"I like the {noun}",
            f"I am {rng.choice(MOODS)}",
            f"It is {rng.choice(WEATHER)} today",
            f"We should go to the {rng.choice(PLACES)}",
            f"I want to {rng.choice(INTRANSITIVE)}",
            f"You can take the {noun}",
            f"I do not know where the {noun} is",
            f"The {noun} is {rng.choice(ADJECTIVES)}",
            f"I will {rng.choice(INTRANSITIVE)} tomorrow",
            f"My {rng.choice(ROLES)} is {article(rng.choice(JOBS))}",
            f"Let us {rng.choice(INTRANSITIVE)} together",
            "Thank you very much",
            "I have an idea",
        )
    )


def _say(story: _Story) -> str:
    rng = story.rng
    said = _speech(rng, story)
    a = rng.choice(story.cast)
    others = [name for name in story.cast if name is not a]
    story.last = a
    verb = rng.choice(("said", "said", "said", "shouted", "whispered", "answered", "thought"))
    options = [
        f'"{said}," {verb} {a.text}.',
        f'{a.text} {verb}, "{said}."',
        f'"{said}!" {verb} {a.text}, and {a.subject} {conjugate(rng.choice(INTRANSITIVE)).past}.',
    ]
    if others:
        b = rng.choice(others)
        reply = _speech(rng, story)
        story.last = None
        options += [
            f'"{said}," said {a.text}. "{reply}," said {b.text}.',
            f'{a.text} looked at {b.text} and said, "{said}." {b.text} answered, "{reply}."',
            f'"Are you {rng.choice(MOODS)}, {b.text}?" asked {a.text}. "Yes, I am," said {b.text}.',
            f'"Where are you going, {b.text}?" asked {a.text}. '
            f'"I am going to the {rng.choice(PLACES)}," said {b.text}.',
        ]
    return rng.choice(options)


def _give(story: _Story) -> str:
    """Write a gift inside a story, only among names that training may give things to."""
    rng = story.rng
    if len(story.cast) < 2 or any(name in HELD_OUT_NAMES for name in story.cast):
        return _meet(story)
    thing = _new_thing(story) if not story.things or rng.random() < 0.5 else story.things[-1]
    giver, receiver = rng.sample(story.cast, 2)
    thing.owner, thing.where = receiver, ""
    story.last = None
    noun = thing.noun
    if len(story.cast) > 2:
        return f"{giver.text} gave {receiver.text} the {noun}. Now {receiver.text} had the {noun}."
    return rng.choice(
        (
            f"{giver.text} gave the {noun} to {receiver.text}.",
            f"Then {giver.text} passed the {noun} to {receiver.text}.",
            f"{giver.text} took the {noun} and handed it to {receiver.text}.",
            f'"This is for you," said {giver.text}, and gave the {noun} to {receiver.text}.',
        )
    )


_EVENTS = (
    _introduce, _introduce, _introduce, _move, _move, _go, _go, _mood, _mood, _like, _act, _act,
    _act, _meet, _meet, _say, _say, _say, _give,
)  # fmt: skip


def _questions(story: _Story) -> list[str]:
    """Write questions whose answers the story fixes; none about a noun that is named twice."""
    rng = story.rng
    nouns = [thing.noun for thing in story.things]
    asked: list[tuple[str, str, str]] = []
    for thing in story.things:
        noun = thing.noun
        if nouns.count(noun) > 1:
            continue
        asked.append((f"What colour was the {noun}?", f"The {noun} was {thing.colour}.",
                      f"{thing.colour}."))  # fmt: skip
        if thing.where:
            asked.append((f"Where was the {noun}?", f"The {noun} was {thing.where}.",
                          f"{thing.where}."))  # fmt: skip
        if thing.owner:
            asked.append((f"Who had the {noun}?", f"{thing.owner.text} had the {noun}.",
                          f"{thing.owner.text}."))  # fmt: skip
    for who, place in story.at.items():
        asked.append((f"Where was {who}?", f"{who} was at the {place}.", f"at the {place}."))
    for who, mood in story.moods.items():
        asked.append((f"How did {who} feel?", f"{who} felt {mood}.", f"{mood}."))
    for who, what in story.likes.items():
        asked.append((f"What did {who} like?", f"{who} liked {what}.", f"{what}."))
    rng.shuffle(asked)
    out = []
    formal = rng.random() < 0.3
    for question, answer, short in asked[: rng.randint(1, 4)]:
        out.append(f"\nQuestion: {question}\nAnswer: {short}" if formal else f"{question} {answer}")
    return out


def story(rng: Random) -> str:
    """Write three to ten sentences about one to three people, mostly with questions at the end."""
    cast = rng.sample(NAMES, rng.choice((1, 1, 2, 2, 2, 2, 3)))
    if rng.random() < 0.3:
        cast = rng.sample(GIVING_NAMES, 2)
    if rng.random() < 0.2:
        cast = rng.sample(HELD_OUT_NAMES, 2)
    state = _Story(rng, cast, rng.choice(PLACES))
    parts = [_opening(state)]
    for _ in range(rng.randint(2, 8)):
        parts.append(rng.choice(_EVENTS)(state))
        if rng.random() < 0.1:
            parts.append(_weather(rng))
    if rng.random() < 0.65:
        parts += _questions(state)
    return " ".join(parts).replace(" \n", "\n")


def _weather(rng: Random) -> str:
    return rng.choice(
        (
            f"It was {article(rng.choice(WEATHER) + ' day')}.",
            f"The weather was {rng.choice(WEATHER)}.",
            f"The {rng.choice(('sun', 'moon'))} was shining.",
            "It began to rain.",
            f"It was {rng.choice(SEASONS)}, and the days were {rng.choice(WEATHER)}.",
            f"The wind was {rng.choice(('strong', 'cold', 'warm', 'soft'))}.",
        )
    )


def scene(rng: Random) -> str:
    """Write about several things and their places, then ask questions; without people."""
    state = _Story(rng, [rng.choice(NAMES)], rng.choice(PLACES))
    out = []
    for noun in rng.sample(OBJECTS, rng.randint(2, 5)):
        thing = _Thing(noun, rng.choice(COLOURS), _spot(rng))
        state.things.append(thing)
        out.append(
            rng.choice(
                (
                    f"The {thing.colour} {noun} is {thing.where}.",
                    f"The {noun} is {thing.colour}, and it is {thing.where}.",
                    f"There is {article(thing.colour + ' ' + noun)} {thing.where}.",
                )
            )
        )
    asked = []
    for thing in rng.sample(state.things, rng.randint(1, len(state.things))):
        asked.append(
            rng.choice(
                (
                    f"What colour is the {thing.noun}? The {thing.noun} is {thing.colour}.",
                    f"Where is the {thing.noun}? The {thing.noun} is {thing.where}.",
                    f"What is {thing.where}? The {thing.noun} is {thing.where}."
                    if sum(other.where == thing.where for other in state.things) == 1
                    else f"Is the {thing.noun} {thing.colour}? Yes, it is.",
                    f"Is the {thing.noun} {thing.colour}? Yes, the {thing.noun} is {thing.colour}.",
                )
            )
        )
    return " ".join(out + asked)
