"""Reads a saved table as Python's csv module does, and tells what it holds.

Prints JSON: of a table its rows, where a token's cell is the bytes that it stands for, in
hexadecimal; of a tokenizer file what each id's bytes are, read without the page's code.
"""

import csv
import json
import sys
from pathlib import Path


def main(kind: str, path: str) -> None:
    """Print what the file holds; `kind` is `table` or `vocabulary`."""
    print(json.dumps(table(path) if kind == "table" else vocabulary(path)))


def table(path: str) -> list[list[str]]:
    """Return the table's rows; fail unless it is UTF-8 with a mark and its lines end in CRLF."""
    written = Path(path).read_bytes()
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
    return [head, *rows]


def vocabulary(path: str) -> dict[int, str]:
    """Return each entry's bytes; the bundled tokenizer is byte-level."""
    # Takes seconds to import, which the tables do without.
    from tokenizers import Tokenizer
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    byte_of = {character: byte for byte, character in bytes_to_unicode().items()}
    opened = Tokenizer.from_file(path)
    added = opened.get_added_tokens_decoder()
    return {
        id: (added[id].content.encode() if id in added else bytes(byte_of[c] for c in entry)).hex()
        for entry, id in opened.get_vocab().items()
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
