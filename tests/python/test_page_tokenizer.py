"""The page cuts a text into the tokens that Python's `tokenizers` makes of it, or refuses the
tokenizer: many kinds of tiny tokenizers, trained here, in the page's own code, run by Node."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, trainers
from tokenizers import pre_tokenizers as pre

from oriel.bundle.token_bytes import TokenBytes
from oriel.tokenizers.probe_texts import probe_texts

ROOT = Path(__file__).resolve().parents[2]
CORPUS = [
    "The ferry left the harbour before the fog had lifted, and nobody on deck spoke.",
    "A kettle whistled twice; the clerk counted nine coins and closed the drawer 123 4567.",
    "naïve café — 你好, 世界! 🙂 tab\there\nand  two  spaces ",
    "春天的河岸上有一只白鹭",
    "It's we'll don't HELLO World e|x|z e4 e5 Nf3",
] * 3
TEXTS = [
    "",
    "the ferry",
    "The  ferry\n\nleft\tthe",
    "🙂👩‍👩‍👧",
    "x<tok>y <tok> <tok>s a<tok>",
    "<LST> a <RST> b <LST>  c",
    "foo harbour harbours harbour. _harbour é harbour harbour",
    "e|x|z",
    "e4 e5 Nf3",
    "a\u0085b",
]
BYTES = pre.ByteLevel.alphabet()
LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
REFUSED = {"bpe-continuing-prefix", "unicode-scripts", "normalizer-nmt", "normalizer-bytes"}
"""What the page has no part for: it says so, and takes token ids."""


def trained(
    model: Any, trainer: Any, before: Any = None, normalizer: Any = None, decoder: Any = None
) -> Tokenizer:
    tokenizer = Tokenizer(model)
    for name, part in (
        ("pre_tokenizer", before),
        ("normalizer", normalizer),
        ("decoder", decoder),
    ):
        if part is not None:
            setattr(tokenizer, name, part)
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def bpe(
    before: Any = None, normalizer: Any = None, *, decoder: Any = None, **more: Any
) -> Tokenizer:
    """BPE over characters, with an unknown token."""
    keys = ("end_of_word_suffix", "continuing_subword_prefix")
    marks = {key: value for key, value in more.items() if key in keys}
    trainer = trainers.BpeTrainer(
        vocab_size=420, special_tokens=["<unk>"], show_progress=False, **marks
    )
    model = models.BPE(unk_token="<unk>", **more)
    return trained(model, trainer, before, normalizer, decoder)


def byte_bpe(before: Any, **more: Any) -> Tokenizer:
    trainer = trainers.BpeTrainer(vocab_size=420, show_progress=False, initial_alphabet=BYTES)
    return trained(models.BPE(**more), trainer, before, None, decoders.ByteLevel())


def byte_fallback() -> Tokenizer:
    special = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=420, show_progress=False, special_tokens=special)
    model = models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    under = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    return trained(model, trainer, None, under, decoders.ByteFallback())


def word_pieces(**more: Any) -> Tokenizer:
    special = ["[UNK]", "[CLS]"]
    trainer = trainers.WordPieceTrainer(vocab_size=300, show_progress=False, special_tokens=special)
    normalizer = normalizers.BertNormalizer(**more)
    model = models.WordPiece(unk_token="[UNK]")
    return trained(model, trainer, pre.BertPreTokenizer(), normalizer, decoders.WordPiece())


def words(before: Any) -> Tokenizer:
    trainer = trainers.WordLevelTrainer(special_tokens=["[UNK]"], show_progress=False)
    return trained(models.WordLevel(unk_token="[UNK]"), trainer, before)


def unigram(before: Any, normalizer: Any) -> Tokenizer:
    trainer = trainers.UnigramTrainer(
        vocab_size=300, show_progress=False, special_tokens=["<unk>"], unk_token="<unk>"
    )
    return trained(models.Unigram(), trainer, before, normalizer, decoders.Metaspace())


def with_added(tokenizer: Tokenizer) -> Tokenizer:
    tokenizer.add_tokens(
        [AddedToken("<tok>"), AddedToken("harbour", single_word=True, normalized=False)]
    )
    tokenizer.add_special_tokens(
        [AddedToken("<LST>", lstrip=True), AddedToken("<RST>", rstrip=True)]
    )
    return tokenizer


TOKENIZERS: dict[str, Callable[[], Tokenizer]] = {
    "gpt2": lambda: byte_bpe(pre.ByteLevel(add_prefix_space=False)),
    "gpt2-prefix-space": lambda: byte_bpe(pre.ByteLevel(add_prefix_space=True)),
    "gpt2-no-regex": lambda: byte_bpe(pre.ByteLevel(add_prefix_space=False, use_regex=False)),
    "gpt2-added": lambda: with_added(byte_bpe(pre.ByteLevel(add_prefix_space=False))),
    "llama-3": lambda: byte_bpe(
        pre.Sequence(
            [
                pre.Split(Regex(LLAMA_3), behavior="isolated"),
                pre.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        ),
        ignore_merges=True,
    ),
    "digits-and-bytes": lambda: byte_bpe(
        pre.Sequence([pre.Digits(), pre.ByteLevel(add_prefix_space=False)])
    ),
    "end-of-word": lambda: bpe(
        pre.Whitespace(),
        normalizers.Lowercase(),
        decoder=decoders.BPEDecoder(suffix="</w>"),
        end_of_word_suffix="</w>",
    ),
    "end-of-word-bert": lambda: bpe(
        pre.BertPreTokenizer(),
        normalizers.BertNormalizer(),
        decoder=decoders.BPEDecoder(suffix="</w>"),
        end_of_word_suffix="</w>",
    ),
    "bpe-continuing-prefix": lambda: bpe(pre.Whitespace(), continuing_subword_prefix="##"),
    "byte-fallback": byte_fallback,
    "metaspace-first": lambda: bpe(pre.Metaspace(prepend_scheme="first")),
    "metaspace-always-added": lambda: with_added(
        bpe(pre.Metaspace(prepend_scheme="always"), fuse_unk=True)
    ),
    "bert": word_pieces,
    "bert-cased": lambda: word_pieces(lowercase=False, strip_accents=False),
    "unigram": lambda: unigram(pre.Metaspace(), normalizers.NFKC()),
    "unigram-stripped": lambda: unigram(
        pre.Sequence([pre.WhitespaceSplit(), pre.Metaspace()]),
        normalizers.Sequence(
            [
                normalizers.NFD(),
                normalizers.StripAccents(),
                normalizers.Lowercase(),
                normalizers.Strip(),
            ]
        ),
    ),
    "words-between-spaces": lambda: words(pre.WhitespaceSplit()),
    "words-and-signs": lambda: with_added(words(pre.Whitespace())),
    "words-between-bars": lambda: words(pre.CharDelimiterSplit("|")),
    "delimiter": lambda: bpe(pre.CharDelimiterSplit(" ")),
    "inverted": lambda: bpe(pre.Split(Regex(r"\w+"), behavior="removed", invert=True)),
    "single-digits": lambda: bpe(
        pre.Sequence([pre.Digits(individual_digits=True), pre.Whitespace()])
    ),
    "unicode-scripts": lambda: bpe(pre.UnicodeScripts()),
    "three-characters": lambda: bpe(pre.FixedLength(3)),
    "normalizer-nmt": lambda: bpe(pre.Whitespace(), normalizers.Nmt()),
    "normalizer-bytes": lambda: bpe(None, normalizers.ByteLevel()),
    "normalizer-replace": lambda: bpe(pre.Whitespace(), normalizers.Replace(Regex(r"\d"), "0")),
    **{
        f"normalizer-{name.lower()}": lambda name=name: bpe(  # type: ignore[misc]
            pre.Whitespace(), getattr(normalizers, name)()
        )
        for name in ("NFC", "NFD", "NFKC", "NFKD", "StripAccents", "Strip")
    },
    **{
        f"{kind}-{behavior}": lambda part=part, behavior=behavior: bpe(part(behavior))  # type: ignore[misc]
        for kind, part in (
            ("string", lambda behavior: pre.Split(" ", behavior=behavior)),
            ("sign", lambda behavior: pre.Split(".", behavior=behavior)),
            ("regex", lambda behavior: pre.Split(Regex(r"\s+|\p{P}"), behavior=behavior)),
            ("punctuation", pre.Punctuation),
        )
        for behavior in (
            "removed",
            "isolated",
            "merged_with_previous",
            "merged_with_next",
            "contiguous",
        )
    },
}


@pytest.fixture(scope="module")
def answers(
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, tuple[Tokenizer, list[str], Any]]:
    """Of each tokenizer: itself, the texts, and the page's answers or why it refused."""
    node = shutil.which("node")
    assert node is not None
    made = {name: make() for name, make in TOKENIZERS.items()}
    texts = {name: [*TEXTS, *probe_texts(tokenizer)] for name, tokenizer in made.items()}
    asked = [
        {
            "tokenizer": json.loads(tokenizer.to_str()),
            # Settings that the Rust library does not know must change nothing.
            "config": {"remove_space": True, "do_lowercase_and_remove_accent": True},
            "texts": texts[name],
        }
        for name, tokenizer in made.items()
    ]
    run = subprocess.run(
        [node, str(ROOT / "tests/web/judge_tokenizers.mjs")],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert run.returncode == 0, run.stderr
    page = dict(zip(made, json.loads(run.stdout), strict=True))
    return {name: (made[name], texts[name], page[name]) for name in made}


@pytest.mark.parametrize("name", [name for name in TOKENIZERS if name not in REFUSED])
def test_the_page_makes_the_same_tokens(
    name: str, answers: dict[str, tuple[Tokenizer, list[str], Any]], tmp_path: Path
) -> None:
    tokenizer, texts, page = answers[name]
    assert isinstance(page, list), page
    file = tmp_path / "tokenizer.json"
    tokenizer.save(str(file))
    token_bytes = TokenBytes(file)
    for text, got in zip(texts, page, strict=True):
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        assert got.get("ids") == ids, (text, got)
        # Both sides show a token by the same bytes.
        assert [bytes(each) for each in got["bytes"]] == [token_bytes.of(id) for id in ids], text


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_the_page_refuses_what_it_has_no_part_for(
    name: str, answers: dict[str, tuple[Tokenizer, list[str], Any]]
) -> None:
    _, _, page = answers[name]
    assert isinstance(page, dict), "the page took it: compare its tokens instead"
    assert page["refused"].startswith("UnsupportedTokenizerError: ")


def test_bytes_of_words_are_their_text_with_the_spaces_between(
    answers: dict[str, tuple[Tokenizer, list[str], Any]],
) -> None:
    """By hand: what stands between words is in no entry of these vocabularies."""
    text = "the ferry left"
    for name, shown in (
        ("bert", " the ferry left"),
        ("words-between-spaces", " the ferry left"),
        ("end-of-word", "the ferry left "),
    ):
        tokenizer, texts, page = answers[name]
        ids = tokenizer.encode(text).ids
        by_id = {
            id: bytes(each)
            for got in page
            for id, each in zip(got["ids"], got["bytes"], strict=True)
        }
        known = [by_id[id] for id in ids if id in by_id]
        assert len(known) == len(ids) and b"".join(known).decode() == shown, (name, texts)
