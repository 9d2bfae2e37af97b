"""A checkpoint's SentencePiece model read by SentencePiece itself, where transformers has to make
its tokenizer of that file: its classes bring normalizers and prefixes of their own."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from oriel.tokenizers.agreement import Agreement, compare
from oriel.tokenizers.checkpoint_files import SENTENCEPIECE, TOKENIZER

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def sentencepiece_agreement(
    folder: Path, tokenizer: Tokenizer, texts: Iterable[str]
) -> Agreement | None:
    """Compare a tokenizer with the folder's SentencePiece model, piece by piece, since classes may
    count their own tokens first. None where the tokenizer was not made of such a file. Texts with
    tokens that were added to the vocabulary are left out."""
    file = next((folder / name for name in SENTENCEPIECE if (folder / name).is_file()), None)
    if file is None or (folder / TOKENIZER).is_file():
        return None
    from sentencepiece import SentencePieceProcessor

    own = SentencePieceProcessor()
    own.LoadFromSerializedProto(file.read_bytes())
    ids = {own.IdToPiece(number): number for number in range(own.GetPieceSize())}
    unknown = int(own.unk_id())
    added = [str(token.content) for token in tokenizer.get_added_tokens_decoder().values()]
    control = [piece for piece, number in ids.items() if own.IsControl(number) or number == unknown]
    marked = {*added, *control}

    def read(text: str) -> list[int]:
        pieces = tokenizer.encode(text, add_special_tokens=False).tokens
        return [ids.get(piece, unknown) for piece in pieces]

    plain = [text for text in texts if not any(mark in text for mark in marked if mark)]
    wanted = {text: list(own.EncodeAsIds(text)) for text in plain}
    return compare(wanted, read, "SentencePiece")
