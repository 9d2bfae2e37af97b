"""Folders with tokenizers as checkpoints come with them, one builder for each kind."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers

VOCAB = 300
TEXT = [
    "The ferry left the harbour before the fog had lifted, and nobody on deck spoke.",
    "A kettle whistled twice; the clerk counted nine coins and closed the drawer.",
    "When the bridge was painted green, the pigeons moved to the old clock tower.",
]


def byte_level(size: int = VOCAB, specials: Sequence[str] = ("<|endoftext|>",)) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(specials),
        show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    return tokenizer


def save(
    folder: Path, tokenizer: Tokenizer, cls: str = "PreTrainedTokenizerFast", **said: Any
) -> None:
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": cls, **said}))


def plain(folder: Path) -> None:
    save(folder, byte_level())


def padded_and_cut(folder: Path) -> None:
    tokenizer = byte_level()
    tokenizer.enable_padding(length=24, pad_token="<|endoftext|>")
    tokenizer.enable_truncation(3)
    save(folder, tokenizer)


def padded_to_a_multiple(folder: Path) -> None:
    tokenizer = byte_level()
    tokenizer.enable_padding(direction="left", pad_to_multiple_of=16, pad_id=7)
    save(folder, tokenizer, "GPT2TokenizerFast", eos_token="<|endoftext|>")


def template_first(folder: Path) -> None:
    tokenizer = byte_level(specials=("<unk>", "<s>", "</s>"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)]
    )
    save(folder, tokenizer, bos_token="<s>", eos_token="</s>")


def template_around(folder: Path) -> None:
    tokenizer = byte_level(specials=("<a>", "<b>", "<c>"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<b> <a> $A <c>", pair="$A $B", special_tokens=[("<a>", 0), ("<b>", 1), ("<c>", 2)]
    )
    save(folder, tokenizer)


def vocab_and_merges(folder: Path) -> None:
    tokenizer = byte_level()
    model = json.loads(tokenizer.to_str())["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"], ensure_ascii=False))
    merges = "\n".join(" ".join(pair) for pair in model["merges"])
    (folder / "merges.txt").write_text(f"#version: 0.2\n{merges}\n")


def vocab_and_added_tokens(folder: Path) -> None:
    tokenizer = byte_level(290)
    model = json.loads(tokenizer.to_str())["model"]
    (folder / "vocab.json").write_text(json.dumps(model["vocab"], ensure_ascii=False))
    merges = "\n".join(" ".join(pair) for pair in model["merges"])
    (folder / "merges.txt").write_text(f"#version: 0.2\n{merges}\n")
    (folder / "added_tokens.json").write_text('{"<new>": 290, "word": 291}')
    special = {"content": "<new>", "lstrip": True, "rstrip": True, "normalized": False}
    (folder / "special_tokens_map.json").write_text(
        json.dumps({"bos_token": {**special, "single_word": False}, "unk_token": "<|endoftext|>"})
    )


def wordpiece(folder: Path) -> None:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "fer", "##ry", "left", ".", "中"]
    (folder / "vocab.txt").write_text("\n".join([*words, "a", "b", "x", "word", "##s"]) + "\n")
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')


def sentencepiece(folder: Path) -> None:
    import sentencepiece as spm

    written = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXT * 10),
        model_writer=written,
        vocab_size=VOCAB,
        model_type="bpe",
        character_coverage=1.0,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        minloglevel=2,
    )
    (folder / "tokenizer.model").write_bytes(written.getvalue())
    said = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": True, "legacy": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(said))


def without_config(folder: Path) -> None:
    byte_level().save(str(folder / "tokenizer.json"))


def prefix_space(folder: Path) -> None:
    save(folder, byte_level(), "GPT2TokenizerFast", add_prefix_space=True)


def added_by_config(folder: Path) -> None:
    tokens = {
        "290": {"content": "<new>", "lstrip": True, "rstrip": True, "normalized": False,
                "single_word": False, "special": True},
        "291": {"content": "word", "lstrip": False, "rstrip": False, "normalized": True,
                "single_word": True, "special": False},
    }  # fmt: skip
    save(folder, byte_level(290), "GPT2TokenizerFast", added_tokens_decoder=tokens)


def one_word_added(folder: Path) -> None:
    tokenizer = byte_level(298)
    tokenizer.add_tokens([AddedToken("word", single_word=True), AddedToken("<new>", lstrip=True)])
    save(folder, tokenizer)


def whole_words(folder: Path) -> None:
    words = {"[UNK]": 0, "e4": 1, "e5": 2, "O-O": 3, "word": 4}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    save(folder, tokenizer, unk_token="[UNK]")


def characters(folder: Path) -> None:
    words = {c: n for n, c in enumerate("?|Theabcdfrylt. ")}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.CharDelimiterSplit("|")
    save(folder, tokenizer)


def suffixed(folder: Path) -> None:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(
        vocab_size=120, special_tokens=["<unk>"], end_of_word_suffix="</w>", show_progress=False
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    save(folder, tokenizer, unk_token="<unk>")


def with_marks(folder: Path) -> None:
    plain(folder)
    for file in [folder / "tokenizer.json", folder / "tokenizer_config.json"]:
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())


Build = Callable[[Path], None]
KINDS: dict[Build, list[int]] = {
    plain: [],
    padded_and_cut: [],
    padded_to_a_multiple: [],
    template_first: [1],
    template_around: [1, 0],
    vocab_and_merges: [],
    vocab_and_added_tokens: [],
    wordpiece: [2],
    sentencepiece: [1],
    without_config: [],
    prefix_space: [],
    added_by_config: [],
    one_word_added: [],
    whole_words: [],
    characters: [],
    suffixed: [],
    with_marks: [],
}
"""How each folder is made, and what its tokenizer puts before a text."""


def folder_of(build: Build, tmp_path: Path, model_type: str = "gpt2") -> Path:
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    kind = "llama" if build in (sentencepiece, template_first) else model_type
    (folder / "config.json").write_text(json.dumps({"model_type": kind}))
    build(folder)
    return folder
