"""Tokenizers without a tokenizer.json, converted at export, beside what reads their files without
the tokenizers library: SentencePiece itself, BERT's WordPiece in Python, and byte-level BPE written
out here."""

from __future__ import annotations

import io
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sentencepiece import SentencePieceProcessor, SentencePieceTrainer
from test_doctor import examined
from tokenizer_folders import TEXT, byte_level, folder_of, vocab_and_merges
from transformers.models.bert_japanese.tokenization_bert_japanese import (
    BasicTokenizer,
    WordpieceTokenizer,
)

from oriel.tokenizers.checkpoint_tokenizer import CheckpointTokenizer, read_checkpoint_tokenizer

regex = pytest.importorskip("regex")

AWKWARD = [
    "The ferry left.",
    " a",
    "two  spaces, a\ttab\nand a line",
    "é e\u0301 ß naïve CAFÉ Ångström ﬁne ½ ｆｕｌｌ",
    "中文 日本語 한국어 العربية हिन्दी สวัสดี",
    "👍🏽 👩‍👩‍👧 🏳️‍🌈 𝔘𝔫𝔦",
    "don't WE'LL ’s x_y camelCase 1,234.5 -7e9",
    "zero\u200bwidth\u00a0and\u3000wide \x00 \ufffd",
    "…—«quoted» “quoted” <tag> [x] {y} ~^|`",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "",
]
MANY = 2**20


def opened(folder: Path) -> CheckpointTokenizer:
    made = read_checkpoint_tokenizer(folder, MANY)
    assert isinstance(made, CheckpointTokenizer), made
    return made


def ids(made: CheckpointTokenizer, text: str) -> list[int]:
    return list(made.backend.encode(text, add_special_tokens=False).ids)


def sentencepiece_folder(
    folder: Path, kind: str, model_type: str, cls: str | None, **settings: Any
) -> bytes:
    """Write a folder with a SentencePiece model alone, and return the model."""
    folder.mkdir(parents=True)
    written = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter([*TEXT * 10, *AWKWARD[:5]]),
        model_writer=written,
        vocab_size=450,
        hard_vocab_limit=False,
        model_type=kind,
        character_coverage=1.0,
        minloglevel=2,
        **settings,
    )
    (folder / "tokenizer.model").write_bytes(written.getvalue())
    (folder / "config.json").write_text(json.dumps({"model_type": model_type}))
    if cls is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": cls}))
    return written.getvalue()


@pytest.mark.parametrize(
    ("kind", "model_type"), [("bpe", "llama"), ("unigram", "llama"), ("bpe", "gemma")]
)
@pytest.mark.parametrize("fallback", [True, False])
def test_a_sentencepiece_model_gives_its_own_ids(
    kind: str, model_type: str, fallback: bool, tmp_path: Path
) -> None:
    """As Gemma's are: no normalization, and no space put first. A class is only guessed."""
    model = sentencepiece_folder(
        tmp_path / "x",
        kind,
        model_type,
        None,
        byte_fallback=fallback,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=False,
    )
    own = SentencePieceProcessor()
    own.LoadFromSerializedProto(model)
    made = opened(tmp_path / "x")
    assert made.agreement.differing == 0
    for text in AWKWARD:
        assert ids(made, text) == own.EncodeAsIds(text), text
    assert not any("SentencePiece itself" in notice for notice in made.notices)


def test_a_class_that_reads_a_sentencepiece_model_otherwise_is_told(tmp_path: Path) -> None:
    """A model that puts a space first, as Llama 2's, without its class: nothing says so."""
    model = sentencepiece_folder(
        tmp_path / "x",
        "bpe",
        "llama",
        None,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
    )
    own = SentencePieceProcessor()
    own.LoadFromSerializedProto(model)
    made = opened(tmp_path / "x")
    assert ids(made, TEXT[0]) != own.EncodeAsIds(TEXT[0])
    (told,) = [notice for notice in made.notices if "than SentencePiece itself in " in notice]
    assert "tokenizer_class in tokenizer_config.json" in told
    lines = [finding.line for finding in examined(tmp_path / "x").findings]
    assert any("than SentencePiece itself in " in line for line in lines)
    (tmp_path / "x" / "tokenizer_config.json").write_text('{"tokenizer_class": "LlamaTokenizer"}')
    named = opened(tmp_path / "x")
    for text in TEXT:
        assert ids(named, text) == own.EncodeAsIds(text)


def test_wordpiece_gives_the_ids_of_berts_own_code(tmp_path: Path) -> None:
    letters = sorted({c for text in (*TEXT, *AWKWARD) for c in text.lower() if c.isalnum()})
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "fer", "##ry", "cafe", "naive"]
    marks = list("!?.,:;-'\"()[]{}<>~^|`…—«»“”’_")
    vocab = [*words, *marks, *letters, *(f"##{letter}" for letter in letters)]
    folder = tmp_path / "x"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "bert"}')
    (folder / "vocab.txt").write_text("\n".join(dict.fromkeys(vocab)) + "\n")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    number = {word: at for at, word in enumerate(dict.fromkeys(vocab))}
    basic: Any = BasicTokenizer
    wordpiece: Any = WordpieceTokenizer
    words_of, pieces_of = basic(do_lower_case=True), wordpiece(number, unk_token="[UNK]")
    made = opened(folder)
    assert made.first_tokens == (number["[CLS]"],)
    for text in AWKWARD:
        split = [p for word in words_of.tokenize(text) for p in pieces_of.tokenize(word)]
        assert ids(made, text) == [number[piece] for piece in split], text


_WORDS = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""GPT-2's words (Radford et al., 2019)."""


def bytes_as_letters() -> dict[int, str]:
    """GPT-2's letters for bytes: printable ones stand for themselves, others for those from 256
    on."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return {byte: chr(byte) for byte in plain} | {b: chr(256 + n) for n, b in enumerate(others)}


def merged(word: list[str], ranks: dict[tuple[str, str], int]) -> list[str]:
    while len(word) > 1:
        pairs = [(ranks.get(pair, MANY), at) for at, pair in enumerate(pairwise(word))]
        rank, at = min(pairs)
        if rank == MANY:
            break
        word = [*word[:at], word[at] + word[at + 1], *word[at + 2 :]]
    return word


def test_byte_level_bpe_gives_the_ids_of_its_definition(tmp_path: Path) -> None:
    folder = folder_of(vocab_and_merges, tmp_path)
    model = json.loads(byte_level().to_str())["model"]
    ranks = {(pair[0], pair[1]): rank for rank, pair in enumerate(model["merges"])}
    letters = bytes_as_letters()
    made = opened(folder)
    for text in AWKWARD:
        wanted = []
        for word in regex.findall(_WORDS, text):
            spelt = [letters[byte] for byte in word.encode()]
            wanted += [model["vocab"][piece] for piece in merged(spelt, ranks)]
        assert ids(made, text) == wanted, text
