"""Opens a checkpoint's tokenizer with transformers, from its files alone: nothing is fetched, and
no code of the checkpoint's is run."""

from __future__ import annotations

import contextlib
import io
import shutil
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from oriel.contract.json_value import JsonObject, object_at
from oriel.tokenizers.checkpoint_files import (
    CONFIG,
    SENTENCEPIECE,
    SETTINGS,
    TOKENIZER,
    json_files,
    tokenizer_files,
)
from oriel.tokenizers.checkpoint_json import read_object
from oriel.tokenizers.open_tokenizer import without_mark

if TYPE_CHECKING:
    from transformers import SentencePieceBackend, TokenizersBackend


class NoFastTokenizer(Exception):
    """transformers gives no tokenizer that can be written as one tokenizer.json; the message says
    why."""


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress transformers' warnings and anything it prints: the caller reports what matters in
    one line."""
    from transformers.utils import logging

    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def open_with_transformers(folder: Path) -> TokenizersBackend:
    """Return the tokenizer that transformers' AutoTokenizer opens, with a backend of the tokenizers
    library.

    Raises NoFastTokenizer where transformers can't, CheckpointError for a damaged file.
    """
    files = tokenizer_files(folder)
    parsed = {file.name: read_object(file) for file in json_files(folder)}
    with contextlib.ExitStack() as stack:
        stack.enter_context(quiet())
        place = stack.enter_context(_without_marks(folder, files))
        opened = _open(place, parsed)
        backend = getattr(opened, "backend_tokenizer", None) if opened.is_fast else None
    if backend is None:
        raise NoFastTokenizer(
            f"transformers opens it with {type(opened).__name__}, which has no tokenizer.json"
        )
    opened = cast("TokenizersBackend", opened)
    if not _says_anything(opened):
        names = [file.name for file in files if file.name not in SETTINGS]
        named = parsed.get(CONFIG, {}).get("tokenizer_class")
        advice = f"; name the right class as tokenizer_class in {CONFIG}" if named is None else ""
        if advice and "vocab.txt" in names:
            advice += ", for most vocab.txt BertTokenizer"
        raise NoFastTokenizer(
            f"transformers opens it with {type(opened).__name__}, which finds no vocabulary in "
            f"{', '.join(names)}{advice}"
        )
    return opened


def _open(folder: Path, parsed: dict[str, JsonObject]) -> TokenizersBackend | SentencePieceBackend:
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    try:
        opened = AutoTokenizer.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True
        )
        named = parsed.get(CONFIG, {}).get("tokenizer_class")
        whole = parsed.get(TOKENIZER)
        if named is None and whole is not None and opened.is_fast:
            # A class that was only guessed from the config reads one kind of vocabulary.
            kind = type(opened.backend_tokenizer.model).__name__
            if kind != object_at(whole, "model").get("type", kind):
                whole_file: TokenizersBackend = PreTrainedTokenizerFast.from_pretrained(
                    folder, local_files_only=True
                )
                return whole_file
        return opened
    except Exception as error:
        # Untrusted files may raise any class of exception.
        raise NoFastTokenizer(_reason(error, folder)) from error


def _reason(error: Exception, folder: Path) -> str:
    if not (folder / TOKENIZER).is_file():
        for name in SENTENCEPIECE:
            if (folder / name).is_file() and not _is_sentencepiece(folder / name):
                return f"{name} is no SentencePiece model that can be read"
    said = (str(error).strip().splitlines() or [type(error).__name__])[0]
    said = said.replace(str(folder), folder.name)
    if "trust_remote_code" in str(error):
        return "it wants code of the checkpoint's own, which is never run"
    return f"transformers can't open it ({said[:160].rstrip('.: ')})"


def _is_sentencepiece(file: Path) -> bool:
    try:
        from sentencepiece import SentencePieceProcessor
    except ImportError:
        raise NoFastTokenizer(
            f"{file.name} is read with sentencepiece: pip install sentencepiece"
        ) from None
    try:
        SentencePieceProcessor().LoadFromSerializedProto(file.read_bytes())
    except (OSError, RuntimeError):
        return False
    return True


def _says_anything(opened: TokenizersBackend) -> bool:
    """Return whether there is a vocabulary besides the tokens that a class brings with it."""
    added = opened.backend_tokenizer.get_added_tokens_decoder()
    return any(token not in added for token in opened.get_vocab().values())


@contextlib.contextmanager
def _without_marks(folder: Path, files: Sequence[Path]) -> Iterator[Path]:
    """Yield the folder itself or, where some of its small files begin with a byte order mark, which
    transformers refuses, a copy of them without it."""
    config = folder / "config.json"
    read = [*files, *([config] if config.is_file() else [])]
    if not any(file.open("rb").read(3) != without_mark(file.open("rb").read(3)) for file in read):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="oriel-") as scratch:
        place = Path(scratch) / folder.name
        place.mkdir()
        for file in read:
            shutil.copyfile(file, place / file.name)
            data = (place / file.name).read_bytes()
            (place / file.name).write_bytes(without_mark(data))
        yield place
