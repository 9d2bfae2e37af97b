"""Reads a saved table as Python's csv module does, and tells what it holds.

Prints JSON: `rows`, where a token's cell is the bytes that it stands for, in hexadecimal, and
`vocabulary`, what each id's bytes are by the tokenizer file, read without the page's code.
"""

import csv
import json
import sys
from pathlib import Path

from tokenizers import Tokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode


def main(table: str, tokenizer: str) -> None:
    """Print what the table holds; fail unless it is UTF-8 with a mark and its lines end in CRLF."""
    written = Path(table).read_bytes()
    if not written.startswith(b"\xef\xbb\xbf") or not written.endswith(b"\r\n"):
        raise SystemExit("no byte order mark, or no line break at the end")
    text = written.decode("utf-8-sig")
    if text.replace("\r\n", "").count("\n"):
        raise SystemExit("a line break that is not CRLF")
    head, *rows = csv.reader(text.splitlines(keepends=True), strict=True)
    tokens = [at for at, name in enumerate(head) if name in ("token", "guess_token")]
    for row in rows:
        for at in tokens:
            row[at] = json.loads(row[at]).encode("utf-8", "surrogateescape").hex()
    print(json.dumps({"rows": [head, *rows], "vocabulary": vocabulary(tokenizer)}))


def vocabulary(path: str) -> dict[int, str]:
    """Return each entry's bytes; the bundled tokenizer is byte-level."""
    byte_of = {character: byte for byte, character in bytes_to_unicode().items()}
    opened = Tokenizer.from_file(path)
    added = opened.get_added_tokens_decoder()
    return {
        id: (added[id].content.encode() if id in added else bytes(byte_of[c] for c in entry)).hex()
        for entry, id in opened.get_vocab().items()
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
