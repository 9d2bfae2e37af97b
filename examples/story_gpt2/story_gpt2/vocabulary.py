"""The word lists that the corpus is written with; inflection lives in word_forms.py."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from random import Random
from typing import Literal

Gender = Literal["female", "male", "neutral"]


@dataclass(frozen=True)
class Name:
    """A first name and the pronouns that the stories use for it."""

    text: str
    gender: Gender

    @property
    def subject(self) -> str:
        """As in "she ran"."""
        return {"female": "she", "male": "he", "neutral": "they"}[self.gender]

    @property
    def object(self) -> str:
        """As in "saw her"."""
        return {"female": "her", "male": "him", "neutral": "them"}[self.gender]

    @property
    def possessive(self) -> str:
        """As in "her hat"."""
        return {"female": "her", "male": "his", "neutral": "their"}[self.gender]

    @property
    def reflexive(self) -> str:
        """As in "looked at herself"."""
        return {"female": "herself", "male": "himself", "neutral": "themself"}[self.gender]


_FEMALE = (
    "Mary Anna Lucy Emma Sara Julia Kate Alice Rose Grace Helen Laura Clara Nina Ella Maria Jane "
    "Ruth Martha Nora Lily Sophie Amy Eva Ida Olivia Mia Zoe Chloe Hannah Leah Rachel Diana Irene "
    "Vera Tina Linda Susan Karen Nancy Betty Carol Donna Paula Wendy Holly Ivy Daisy Molly Penny "
    "Fatima Aisha Mei Yuki Priya Anita Elena Olga Ingrid Astrid Freya Gina Lola Carmen Rita Stella"
)
_MALE = (
    "John Tom James Peter Paul Mark David Daniel Michael Robert William Henry George Jack Harry "
    "Oliver Simon Thomas Andrew Adam Ben Luke Max Leo Oscar Felix Hugo Victor Martin Philip Frank "
    "Walter Arthur Albert Edward Fred Carl Eric Kevin Brian Steven Scott Gary Larry Tony Joe Ian "
    "Neil Colin Roger Omar Ali Hassan Ivan Boris Pablo Diego Carlos Marco Luca Hans Lars Kenji "
    "Ravi Arjun Samuel"
)
_NEUTRAL = (
    "Alex Sam Robin Jamie Taylor Morgan Casey Jordan Riley Quinn Avery Rowan Charlie Kim Lee Pat "
    "Chris Jess Andy Billie Frankie Toni Noel Sasha Kit Ash Skyler Remy"
)
_HELD_OUT = frozenset(
    "Clara Nora Hannah Vera Wendy Molly Elena Stella "
    "Simon Hugo Martin Walter Eric Neil Pablo Samuel "
    "Robin Casey Rowan Jess Billie Noel Sasha Remy".split()
)


def _names(text: str, gender: Gender) -> tuple[Name, ...]:
    return tuple(Name(word, gender) for word in text.split())


NAMES: tuple[Name, ...] = (
    _names(_FEMALE, "female") + _names(_MALE, "male") + _names(_NEUTRAL, "neutral")
)
HELD_OUT_NAMES: tuple[Name, ...] = tuple(n for n in NAMES if n.text in _HELD_OUT)
"""Names that are common in stories but never receive anything in a training sentence."""
GIVING_NAMES: tuple[Name, ...] = tuple(n for n in NAMES if n.text not in _HELD_OUT)

# Things small enough to be carried, given and put somewhere.
OBJECTS: tuple[str, ...] = tuple(
    "ball book cup pen pencil key coin box bag hat coat scarf glove ring watch clock lamp candle "
    "letter card map photo picture drum flute guitar violin bell toy doll kite balloon puzzle game "
    "spoon fork knife plate bowl glass bottle jar basket bucket rope hammer nail saw brush "
    "towel blanket pillow soap mirror comb umbrella stick stone shell feather flower leaf "
    "newspaper notebook envelope stamp ticket wallet purse button needle ribbon belt shoe boot "
    "sock shirt dress jacket sweater helmet medal trophy phone radio camera torch battery "
    "magnet compass telescope microscope calendar diary poem song_sheet painting vase teapot "
    "drink gift present computer kettle pan pot tray basin sponge broom shovel rake wheel".replace(
        "song_sheet", "poster"
    ).split()
)
FOODS: tuple[str, ...] = tuple(
    "apple pear orange banana lemon peach plum cherry grape melon potato carrot onion tomato "
    "cabbage bean pea egg cake pie biscuit sandwich pancake sausage burger pizza loaf nut "
    "cookie sweet muffin pepper mushroom olive".split()
)
MASS_FOODS: tuple[str, ...] = tuple(
    "bread milk water soup rice cheese butter honey jam sugar salt tea coffee juice pasta fish "
    "meat chocolate salad porridge".split()
)
ANIMALS: tuple[str, ...] = tuple(
    "cat dog horse cow pig sheep goat hen duck goose rabbit mouse rat fox wolf bear deer lion "
    "tiger elephant monkey giraffe zebra camel donkey frog toad snake lizard turtle fish whale "
    "dolphin shark seal crab bee ant spider butterfly fly beetle worm snail owl eagle crow robin "
    "pigeon parrot penguin swan squirrel hedgehog badger otter kitten puppy lamb calf pony".split()
)
JOBS: tuple[str, ...] = tuple(
    "teacher doctor nurse farmer baker butcher cook waiter driver pilot sailor soldier policeman "
    "postman fisherman gardener painter singer dancer actor writer poet artist builder carpenter "
    "plumber engineer scientist lawyer judge dentist tailor barber guard guide king queen prince "
    "princess student pupil boy girl man woman child person friend neighbour uncle aunt cousin "
    "brother sister father mother son daughter grandmother grandfather visitor stranger captain "
    "hero manager secretary clerk librarian mechanic miner hunter shepherd".split()
)
FURNITURE: tuple[str, ...] = tuple(
    "table chair desk bed sofa shelf cupboard drawer bench stool cabinet wardrobe chest carpet "
    "rug mat door window gate fence wall roof floor ladder stair oven fridge sink".split()
)
CONTAINERS: tuple[str, ...] = tuple(
    "box bag basket drawer cupboard chest bucket jar suitcase cabinet pocket tin crate "
    "backpack fridge".split()
)
SURFACES: tuple[str, ...] = tuple(
    "table chair desk bed sofa shelf bench floor roof carpet rug mat stool ladder wall".split()
)
VEHICLES: tuple[str, ...] = tuple(
    "car bus train tram lorry van bike boat ship plane taxi tractor truck ferry canoe "
    "rocket".split()
)
NATURE: tuple[str, ...] = tuple(
    "tree bush rock hill mountain river lake cloud star wave path road field flower branch root "
    "island valley cave pond stream beach".split()
)
PLACES: tuple[str, ...] = tuple(
    "shop store school park garden kitchen market station library museum hospital office church "
    "castle farm forest beach lake river zoo cinema theatre restaurant cafe bakery bank hotel "
    "airport harbour playground pool gym house barn village city town bridge island mountain cave "
    "stadium field factory palace tower bookshop square".split()
)
ROOMS: tuple[str, ...] = tuple(
    "kitchen bedroom bathroom hall garage garden attic cellar office living_room".replace(
        "living_room", "classroom"
    ).split()
)
COLOURS: tuple[str, ...] = tuple(
    "red blue green yellow black white brown grey orange purple pink golden silver".split()
)
ADJECTIVES: tuple[str, ...] = tuple(
    "big small old new little large heavy light long short round square clean dirty dry wet warm "
    "cold hot soft hard broken beautiful strange lovely pretty ugly plain tiny huge empty full "
    "cheap expensive wooden shiny dusty simple special ordinary favourite".split()
)
MOODS: tuple[str, ...] = tuple(
    "happy sad angry tired hungry thirsty excited afraid proud surprised bored calm worried "
    "lonely sleepy cheerful nervous curious quiet glad busy ill ready late".split()
)
TRAITS: tuple[str, ...] = tuple(
    "kind clever brave young old tall short strong gentle funny honest lazy polite rich poor "
    "famous friendly wise careful shy loud".split()
)
WEATHER: tuple[str, ...] = tuple(
    "sunny rainy cloudy windy snowy foggy stormy warm cold hot wet dry bright dark".split()
)
SUBJECTS: tuple[str, ...] = tuple(
    "music history science football chess art maths tennis poetry dancing painting cooking "
    "swimming reading".split()
)
TIMES: tuple[str, ...] = tuple(
    "one day|one morning|one evening|in the morning|in the afternoon|in the evening|at night|"
    "last week|last year|yesterday|long ago|after lunch|before dinner|after school|at noon|"
    "in the summer|in the winter|in the spring|in the autumn|once upon a time|that day|"
    "early in the morning|late at night|at the weekend".split("|")
)
DAYS: tuple[str, ...] = tuple("Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split())
MONTHS: tuple[str, ...] = tuple(
    "January February March April May June July August September October November December".split()
)
SEASONS: tuple[str, ...] = ("spring", "summer", "autumn", "winter")

# Verbs that need no object, for people; those for things stand in agreement.py.
INTRANSITIVE: tuple[str, ...] = tuple(
    "laugh smile sing dance run walk jump play sleep rest wait work talk shout cry sit stand "
    "swim read write cook paint draw climb travel think listen dream clap wave whistle hurry "
    "hide yawn sneeze cough breathe pray argue relax exercise".split()
)
MOTION: tuple[str, ...] = tuple(
    "walk run go drive hurry travel ride come return march crawl rush wander move".split()
)
HANDLING: tuple[str, ...] = tuple(
    "find take carry hold see like want clean wash drop break lose hide throw catch "
    "touch bring paint fix open push pull lift buy sell use borrow keep need watch show choose "
    "share forget draw".split()
)
EATING: tuple[str, ...] = tuple("eat cook buy like want share taste cut smell enjoy".split())
MEETING: tuple[str, ...] = tuple(
    "see meet help visit call thank follow hug greet know like love teach remember trust miss "
    "invite welcome watch hear understand admire".split()
)
OPENABLE: tuple[str, ...] = tuple("door window box bag gate drawer letter jar chest book".split())

NUMBER_WORDS: tuple[str, ...] = tuple(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen twenty".split()
)
ORDINALS: tuple[str, ...] = tuple(
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split()
)

ALL_NOUNS: tuple[str, ...] = tuple(
    dict.fromkeys(
        OBJECTS + FOODS + ANIMALS + JOBS + FURNITURE + CONTAINERS + VEHICLES + NATURE + PLACES
    )
)


def held_out_pair(first: str, second: str) -> bool:
    """Return whether this ordered pair of words is kept out of training (about one in five).

    A fixed rule on the words, not a list, so that the corpus and the measurements cannot disagree.
    """
    return zlib.crc32(f"{first}|{second}".encode()) % 5 == 0


def invented_noun(rng: Random) -> str:
    """Invent a noun, e.g. "blick", so that rules are learned independently of known words."""
    onsets = "b bl br c ch d dr f fl g gl gr h j k l m n p pl r s sl sp st t tr v w z".split()
    endings = "b d ck g ld ll m mp n nd nk nt p r rd rt t".split()
    word = rng.choice(onsets) + rng.choice("aeiou")
    if rng.random() < 0.5:
        word += rng.choice("bdglmnprtvz") + rng.choice("aeiou")
    return word + rng.choice(endings)
