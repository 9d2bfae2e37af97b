"""Texts on which two tokenizers are compared: every added token, spaces, scripts, unknown
characters, and words of the vocabulary itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

ORDINARY = (
    "The ferry left the harbour before the fog had lifted, and nobody on deck spoke.",
    "Hello, world! It's 3.14159, isn't it? (Yes: 100 %.)",
    "After Friday comes",
)
"""Texts that begin as most do: with a letter, without any mark."""
FIXED = (
    *ORDINARY,
    # Spaces, before, between and after words.
    "a",
    " a",
    "  a",
    "a ",
    "a  b   c    d",
    " ",
    "   ",
    "\n",
    "a\nb",
    "a\n\n b\n",
    "\n\na",
    "a\r\nb",
    "\ta\tb\t",
    "def f(x):\n    return x\n",
    "a\u00a0b\u00a0",
    "a\u2003b\u3000c\u202fd",
    "zero\u200bwidth\u200djoined\ufeffmark",
    # Numbers, case and signs.
    "1 12 123 1234 12345 1,234,567.89 -7 1e-9",
    "lower UPPER Title camelCase snake_case kebab-case",
    "we'll WE'LL don't DON'T ’s o'clock",
    "!!! ??? ... … -- — «quoted» “quoted” <tag> [x] {y} #1 @a $5 50% a/b\\c ~^|`",
    "https://example.org/a?b=c&d=1#e",
    # Scripts; accents as one character and as two.
    "é à ü ñ ç ø ß Å ſ",
    "e\u0301 a\u0300 u\u0308 n\u0303 c\u0327 A\u030a",
    "naïve café über Ångström",
    "ﬁne ﬂow ½ ² ① Ⅳ ｆｕｌｌ",
    "İstanbul ıI iİ",
    "Привет, мир",
    "Γειά σου Κόσμε ς",
    "春天的河岸上有一只白鹭。",
    "日本語のテキスト、カタカナ ｶﾅ",
    "한국어 텍스트 \u1112\u1161\u11ab",
    "مرحبا بالعالم",
    "שלום עולם",
    "नमस्ते दुनिया",
    "สวัสดีชาวโลก",
    "👍 👍🏽 👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪 ❤️ ☃",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𐍈 𓀀",
    # Hardly in any vocabulary.
    "\u0378 \ue000 \U000f0000 \u0007 \x00 \x7f \ufffd \u2028",
    "▁under ▁ Ġ Ċ ## ##s </w> <0x0A> <unk> <s> </s> [UNK] [CLS] <|endoftext|>",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "supercalifragilisticexpialidocious",
)
_MAX_ALONE = 32
"""So many added tokens have a text each; of more, several share one."""
_WORDS_PER_TEXT = 8
_SAMPLE = 192
"""Entries of the vocabulary that are written out."""
_MAX_CHARACTERS = 1000
"""Characters; an added token of a stranger's file may be a whole book."""


def probe_texts(tokenizer: Tokenizer) -> list[str]:
    """Texts for this tokenizer, each once, in a fixed order."""
    added = [
        str(token.content)
        for _, token in sorted(tokenizer.get_added_tokens_decoder().items())
        if 0 < len(token.content) <= _MAX_CHARACTERS // 8
    ]
    size = 1 if len(added) <= _MAX_ALONE else _WORDS_PER_TEXT
    texts = [*FIXED]
    for group in _groups(added, size):
        texts += ["".join(group), *_inside_words(group)]
    words = vocabulary_words(tokenizer)
    for run in _groups(words, _WORDS_PER_TEXT):
        texts += [" ".join(run), "".join(run)]
    return list(dict.fromkeys(text for text in texts if text and len(text) <= _MAX_CHARACTERS))


def _groups(items: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (items[i : i + size] for i in range(0, len(items), size))


def _inside_words(tokens: Sequence[str]) -> tuple[str, str]:
    """Added tokens with and without spaces around, and inside words: what lstrip, rstrip and
    single_word are about."""
    spaced = "  ".join(f"a {token}  b" for token in tokens)
    return spaced, "".join(f"x{token}y {token}.{token}\n{token}\tz" for token in tokens)[
        :_MAX_CHARACTERS
    ]


def vocabulary_words(tokenizer: Tokenizer) -> list[str]:
    """Entries from all over the vocabulary as text, such as a reader may type. A vocabulary of a
    game or of notes knows nothing of the texts above."""
    size = tokenizer.get_vocab_size(with_added_tokens=False)
    ids = range(0, size, max(1, size // _SAMPLE))
    found = (tokenizer.decode([token], skip_special_tokens=False).strip() for token in ids)
    return [
        word
        for word in dict.fromkeys(found)
        if word and len(word) <= _MAX_CHARACTERS // _WORDS_PER_TEXT
    ][:_SAMPLE]
