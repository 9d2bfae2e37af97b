"""A checkpoint's tokenizer as it is written into the bundle: the text of its tokenizer.json, the
tokens that it puts before a text, cases for readers, and its agreement with transformers.
open_checkpoint.py opens it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from oriel.contract.documents import TokenizerOrigin
from oriel.contract.json_value import JsonObject
from oriel.tokenizers.agreement import Agreement, compare, encoded
from oriel.tokenizers.chat_template import chat_templates, template_setting
from oriel.tokenizers.checkpoint_files import (
    CONFIG,
    TOKENIZER,
    VOCABULARIES,
    check_sizes,
    tokenizer_files,
    unread_files,
)
from oriel.tokenizers.checkpoint_json import read_object
from oriel.tokenizers.first_tokens import MAX_FIRST_TOKENS, find_first_tokens, find_last_tokens
from oriel.tokenizers.open_checkpoint import NoFastTokenizer, open_with_transformers, quiet
from oriel.tokenizers.open_tokenizer import parse_tokenizer, without_padding
from oriel.tokenizers.own_sentencepiece import sentencepiece_agreement
from oriel.tokenizers.probe_texts import FIXED, probe_texts, vocabulary_words

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import TokenizersBackend

MAX_CASES = 200
MAX_CASE_BYTES = 64 * 1024
"""The limits in ACTIVATIONS_CONTRACT.md."""
_NOT_FOR_ENCODING = ("auto_map", "remove_space", "do_lowercase_and_remove_accent")
"""Settings that name code, or that the written tokenizer does already."""


@dataclass(frozen=True)
class NoTokenizer:
    """The bundle has no tokenizer."""

    notices: tuple[str, ...] = ()
    """The reason, where the checkpoint has files of a tokenizer."""
    reason: str | None = None
    """The same without a word on bundles."""


@dataclass(frozen=True)
class CheckpointTokenizer:
    """The contents of the tokenizer's files, the facts for the manifest, and the notices for the
    user."""

    backend: Tokenizer = field(repr=False, compare=False)
    """The written tokenizer, read back."""
    text: str = field(repr=False)
    """Contents of tokenizer.json."""
    config: JsonObject
    """Contents of tokenizer_config.json."""
    first_tokens: tuple[int, ...]
    cases: tuple[tuple[str, tuple[int, ...]], ...]
    """Texts, and their ids without first_tokens."""
    origin: TokenizerOrigin
    agreement: Agreement
    encode: Callable[[str], list[int]] = field(repr=False, compare=False)
    """transformers' own encoding, without first_tokens."""
    notices: tuple[str, ...] = ()
    last_tokens: tuple[int, ...] = ()
    """Those that it puts after every text, which a text that goes on doesn't get."""
    mask_token: int | None = None
    """The one that a masked language model replaces."""


def read_checkpoint_tokenizer(folder: Path, vocab: int) -> CheckpointTokenizer | NoTokenizer:
    """Open a checkpoint's tokenizer and describe it. vocab: rows of the model. CheckpointError for
    a damaged file."""
    files = tokenizer_files(folder)
    if not files:
        others = unread_files(folder)
        if not others:
            return NoTokenizer()
        return _no_tokenizer(
            others,
            f"none of these is a vocabulary that transformers opens ({', '.join(VOCABULARIES)})",
            "put the model's own tokenizer.json beside its weights",
        )
    check_sizes(files)
    try:
        opened = open_with_transformers(folder)
        text, backend = _written(opened)
    except NoFastTokenizer as error:
        return _no_tokenizer(
            files, str(error), "put a tokenizer that transformers opens in its place"
        )
    with quiet():
        beyond = _tokens_beyond(backend, vocab)
        ordinary = [token for token, added in beyond.items() if not added]
        if ordinary:
            return _no_tokenizer(
                files,
                f"it isn't this model's: {len(ordinary)} of its "
                f"{backend.get_vocab_size()} tokens have ids from {vocab} on, and the model has "
                f"{vocab} ({_shown(ordinary)})",
                "put the tokenizer that the model was trained with in its place",
            )
        try:
            return _described(folder, files, opened, backend, text, vocab, list(beyond))
        except NoFastTokenizer as error:
            return _no_tokenizer(
                files, str(error), "put a tokenizer that transformers opens in its place"
            )


def _no_tokenizer(files: Sequence[Path], why: str, mend: str) -> NoTokenizer:
    names = ", ".join(file.name for file in files[:4])
    return NoTokenizer(
        (
            f"The bundle has no tokenizer, though the checkpoint has {names}: {why}. The page "
            f"takes token ids. To type text there, {mend} and export again.",
        ),
        f"the checkpoint has {names}, but {why}",
    )


def _written(opened: TokenizersBackend) -> tuple[str, Tokenizer]:
    """Return the text of tokenizer.json, and the tokenizer read back from it, as every reader has
    it."""
    backend = without_padding(parse_tokenizer(opened.backend_tokenizer.to_str().encode()))
    try:
        text = str(backend.to_str(pretty=False))
        return text, parse_tokenizer(text.encode())
    except Exception as error:
        raise NoFastTokenizer(
            f"it can't be written as tokenizer.json ({str(error)[:120]})"
        ) from error


def _tokens_beyond(backend: Tokenizer, vocab: int) -> dict[str, bool]:
    """Return the tokens that the model has no row for, each with True if it was added to the
    vocabulary."""
    added = backend.get_added_tokens_decoder()
    found = sorted((i, token) for token, i in backend.get_vocab().items() if i >= vocab)
    return {token: i in added for i, token in found}


def _shown(tokens: Sequence[str]) -> str:
    more = f" and {len(tokens) - 3} more" if len(tokens) > 3 else ""
    return ", ".join(repr(token[:40]) for token in tokens[:3]) + more


def _described(
    folder: Path,
    files: Sequence[Path],
    opened: TokenizersBackend,
    backend: Tokenizer,
    text: str,
    vocab: int,
    beyond: Sequence[str],
) -> CheckpointTokenizer:
    def encode(string: str) -> list[int]:
        return list(opened(string, add_special_tokens=False)["input_ids"])

    texts = probe_texts(backend)
    wanted = encoded(encode, texts)
    if not wanted:
        raise NoFastTokenizer("it can't encode any text")
    agreement = compare(wanted, lambda s: list(backend.encode(s, add_special_tokens=False).ids))
    notices = []
    if beyond:
        have = "1 has an id" if len(beyond) == 1 else f"{len(beyond)} have ids"
        notices.append(
            f"Of the tokenizer's added tokens, {have} from {vocab} on, and the model has {vocab} "
            f"rows: {_shown(beyond)}. A text with such a token can't be run. If the model was "
            "trained with them, export the checkpoint that was saved after "
            "resize_token_embeddings."
        )
    if agreement.differing:
        notices.append(
            f"The bundle's tokenizer and transformers differ in {agreement.differing} of "
            f"{agreement.texts} texts: {agreement.note}. Type such texts as token ids."
        )
    else:
        # Added tokens are not compared here: tokenizer_config.json often has more of them.
        plain = {s: wanted[s] for s in (*FIXED, *vocabulary_words(backend)) if s in wanted}
        notices += _other_reading(folder, plain, type(opened).__name__)
    config = _config(folder)
    plain_texts = [*FIXED, *vocabulary_words(backend)]
    notices += _own_reading(folder, backend, plain_texts, type(opened).__name__)
    if "auto_map" in config:
        notices.append(
            f"The checkpoint has code of its own for its tokenizer, which is never run: "
            f"transformers' {type(opened).__name__} opened its files instead. Compare a text's "
            "tokens on the page with those that you know."
        )
    first, said = _first(opened, list(wanted), vocab)
    known = {s: ids for s, ids in wanted.items() if all(token < vocab for token in ids)}
    return CheckpointTokenizer(
        backend,
        text,
        _settings(config, opened, chat_templates(folder)),
        first,
        _cases(known),
        _origin(files, opened),
        agreement,
        encode,
        (*notices, *said),
        _last(opened, list(wanted), first, vocab),
        _mask(opened, vocab),
    )


def _own_reading(folder: Path, backend: Tokenizer, texts: Sequence[str], opener: str) -> list[str]:
    """Return a notice where transformers makes another tokenizer of a SentencePiece model than
    SentencePiece does."""
    found = sentencepiece_agreement(folder, backend, texts)
    if found is None or not found.differing:
        return []
    return [
        f"transformers opens the SentencePiece model with {opener}, which gives other tokens than "
        f"SentencePiece itself in {found.differing} of {found.texts} texts: {found.note}. The "
        "bundle does as transformers does. If most texts differ, name the class that the model was "
        f"trained with as tokenizer_class in {CONFIG}."
    ]


def _other_reading(folder: Path, wanted: Mapping[str, Sequence[int]], opener: str) -> list[str]:
    """Return a notice where transformers reads the checkpoint's tokenizer.json in its own way,
    which some of its classes do."""
    file = folder / TOKENIZER
    if not file.is_file():
        return []
    try:
        alone = parse_tokenizer(file.read_bytes())
    except Exception:  # noqa: BLE001 - transformers read it all the same
        return []
    found = compare(wanted, lambda s: list(alone.encode(s, add_special_tokens=False).ids))
    if not found.differing:
        return []
    return [
        f"transformers opens this tokenizer with {opener}, which gives other ids than "
        f"tokenizer.json alone in {found.differing} of {found.texts} texts: {found.note}. The "
        "bundle does as transformers does."
    ]


def _first(
    opened: TokenizersBackend, texts: Sequence[str], vocab: int
) -> tuple[tuple[int, ...], list[str]]:
    def encode(string: str, special: bool) -> list[int]:
        return list(opened(string, add_special_tokens=special)["input_ids"])

    # A few texts, spread over all kinds.
    found = find_first_tokens(encode, texts[:: max(1, len(texts) // 64)])
    if found is None:
        return (), ["transformers puts no fixed tokens before a text; the page puts none."]
    if len(found) > MAX_FIRST_TOKENS or any(token >= vocab for token in found):
        return (), [
            f"The tokenizer puts {list(found[:MAX_FIRST_TOKENS])} before a text, which the model "
            "has no rows for; the page puts nothing there."
        ]
    return found, []


def _last(
    opened: TokenizersBackend, texts: Sequence[str], first: Sequence[int], vocab: int
) -> tuple[int, ...]:
    def encode(string: str, special: bool) -> list[int]:
        return list(opened(string, add_special_tokens=special)["input_ids"])

    found = find_last_tokens(encode, texts[:: max(1, len(texts) // 64)], first)
    return found if len(found) <= MAX_FIRST_TOKENS and all(t < vocab for t in found) else ()


def _mask(opened: TokenizersBackend, vocab: int) -> int | None:
    found = getattr(opened, "mask_token_id", None)
    return found if isinstance(found, int) and 0 <= found < vocab else None


def _config(folder: Path) -> JsonObject:
    file = folder / CONFIG
    return read_object(file) if file.is_file() else {}


def _settings(
    config: JsonObject, opened: TokenizersBackend, templates: Mapping[str, str]
) -> JsonObject:
    """Return the checkpoint's own settings; where it lacks some that readers in JavaScript need,
    add them."""
    names = ("bos_token", "eos_token", "unk_token", "pad_token")
    tokens = {name: getattr(opened, name, None) for name in names}
    said = {name: str(token) for name, token in tokens.items() if token is not None}
    base: JsonObject = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": False,
        **said,
    }
    kept = {name: value for name, value in config.items() if name not in _NOT_FOR_ENCODING}
    if templates:
        # Readers in JavaScript look for it here alone.
        kept["chat_template"] = template_setting(templates)
    return dict(sorted({**base, **kept}.items()))


def _cases(known: Mapping[str, Sequence[int]]) -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Return at most as many cases as readers accept: the fixed texts, and a selection of the
    others where they are many."""
    fixed = [text for text in known if text in FIXED]
    others = [text for text in known if text not in FIXED]
    step = max(1, -(-len(others) // (MAX_CASES - len(fixed))))
    chosen = [(text, known[text]) for text in (*fixed, *others[::step])]
    found: list[tuple[str, tuple[int, ...]]] = []
    size = 64
    for text, ids in chosen:
        size += len(json.dumps({"text": text, "ids": list(ids)})) + 2
        if size > MAX_CASE_BYTES:
            break
        found.append((text, tuple(ids)))
    return tuple(found)


def _origin(files: Sequence[Path], opened: TokenizersBackend) -> TokenizerOrigin:
    import transformers

    return {
        "files": [file.name for file in files],
        "class": type(opened).__name__,
        "library": f"transformers {transformers.__version__}",
    }
