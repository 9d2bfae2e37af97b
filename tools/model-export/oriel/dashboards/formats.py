"""The kinds of file that a corpus may be in, a row each: how one is parted into shards, and how the
documents of a part are read. Everything in a file is untrusted."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from oriel.dashboards.corpus_files import CorpusFile, is_store, unreadable
from oriel.dashboards.packages import pyarrow_module
from oriel.errors import OptionError, OrielError, reason_of

if TYPE_CHECKING:
    import pyarrow
    from pyarrow import parquet

SHARD_BYTES = 1 << 19
"""Bytes of text in a shard, where a file can be parted anywhere."""
_SLICE = 1 << 18
"""Characters of a text that are tokenized at a time."""
_LONGEST_LINE = 1 << 24
"""Bytes of a line of JSON."""
_COLUMN = "text"


@dataclass(frozen=True)
class Part:
    """A part of a file: a shard of the corpus."""

    format: str
    file: CorpusFile
    begin: int
    """First byte of text, or first row group or record batch."""
    end: int
    """The one behind the last."""
    size: int
    """Bytes of text, about."""
    column: str = ""
    """Column of a table that has the text."""


@dataclass(frozen=True)
class Format:
    """A kind of file."""

    parts: Callable[[CorpusFile], list[Part]]
    documents: Callable[[Part], Iterator[str]]


def format_of(file: CorpusFile) -> Format:
    """Return the format that a file's name says. Raises OptionError for any other."""
    if file.ending not in FORMATS:
        raise OptionError(
            "--corpus is a file of no known kind",
            got=file.address,
            expected=", ".join(f".{ending}" for ending in FORMATS),
            next_step="save it as one of these.",
        )
    return FORMATS[file.ending]


def document_slices(text: str) -> Iterator[str]:
    """Yield a text, or slices of a long one, which end at a space where there is one."""
    begin = 0
    while len(text) - begin > _SLICE:
        end = text.rfind(" ", begin + _SLICE // 2, begin + _SLICE)
        end = begin + _SLICE if end < 0 else end
        yield text[begin:end]
        begin = end
    if text[begin:].strip():
        yield text[begin:]


def _byte_parts(name: str) -> Callable[[CorpusFile], list[Part]]:
    def parts(file: CorpusFile) -> list[Part]:
        begins = range(0, file.size, SHARD_BYTES)
        ends = [min(begin + SHARD_BYTES, file.size) for begin in begins]
        return [
            Part(name, file, begin, end, end - begin)
            for begin, end in zip(begins, ends, strict=True)
        ]

    return parts


def _lines(part: Part) -> Iterator[tuple[int, bytes]]:
    """Yield each line that begins in the part, with the byte it begins at: one that goes on behind
    the part's end is this part's, and what is left of one from before is not."""
    with part.file.open() as file:
        at = part.begin
        if at > 0:
            file.seek(at - 1)
            at += len(_line(file, part)) - 1
        else:
            file.seek(0)
        while at < part.end:
            line = _line(file, part)
            if not line:
                raise cut_short(part.file, f"{at} bytes", f"{part.file.size} bytes")
            yield at, line
            at += len(line)


def _line(file: BinaryIO, part: Part) -> bytes:
    line = file.readline(_LONGEST_LINE + 1)
    if len(line) > _LONGEST_LINE and not line.endswith(b"\n"):
        got = f"a line of more than {_LONGEST_LINE >> 20} MiB"
        raise unreadable(part.file.address, got, "text with line breaks")
    return line


def _text_documents(part: Part) -> Iterator[str]:
    """Yield the passages of a part of a text file, which stand between blank lines."""
    passage: list[str] = []
    length = 0
    for at, line in _lines(part):
        text = _decoded(part.file, line if at else line.removeprefix(b"\xef\xbb\xbf"), at)
        if text.strip():
            passage.append(text)
            length += len(text)
        if passage and (not text.strip() or length > _SLICE):
            yield "".join(passage).strip("\r\n")
            passage, length = [], 0
    if passage:
        yield "".join(passage).strip("\r\n")


def _decoded(file: CorpusFile, line: bytes, at: int) -> str:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        got = f"byte 0x{line[error.start]:02x} at {at + error.start}"
        raise unreadable(file.address, got, "text in UTF-8") from error
    if "\0" in text:
        raise unreadable(file.address, f"a zero byte at {at + line.index(0)}", "text in UTF-8")
    return text


def _json_documents(part: Part) -> Iterator[str]:
    """Yield the text of each line of JSON: a string, or an object's entry `text`."""
    for at, line in _lines(part):
        if not line.strip():
            continue
        try:
            found = json.loads(_decoded(part.file, line, at))
        except (ValueError, RecursionError) as error:
            if at + len(line) >= part.file.size and not line.endswith(b"\n"):
                raise cut_short(part.file, "half a line of JSON", "whole lines") from error
            got = f"the line at byte {at}: {reason_of(error)}"
            raise unreadable(part.file.address, got, "a JSON value on each line") from error
        text = found.get(_COLUMN) if isinstance(found, dict) else found
        if not isinstance(text, str):
            named = f"{', '.join(list(found)[:5])}" if isinstance(found, dict) else repr(found)[:40]
            got = f"the line at byte {at} has {named}"
            raise unreadable(part.file.address, got, f"a text, or an object with {_COLUMN!r}")
        yield text


@contextmanager
def _table_errors(file: CorpusFile) -> Iterator[None]:
    """Raise OptionError for whatever a damaged table raises inside."""
    try:
        yield
    except (OrielError, MemoryError):
        raise
    except Exception as error:
        raise cut_short(file, reason_of(error, 160), "a whole file") from error


def _text_column(file: CorpusFile, schema: pyarrow.Schema) -> str:
    arrow = pyarrow_module()
    kinds = (arrow.types.is_string, arrow.types.is_large_string, arrow.types.is_string_view)
    texts: list[str] = [field.name for field in schema if any(kind(field.type) for kind in kinds)]
    if _COLUMN in texts:
        return _COLUMN
    if len(texts) != 1:
        ids = "token ids of another tokenizer: " if "input_ids" in schema.names else ""
        got = f"{ids}columns {', '.join(schema.names[:8])}"
        raise unreadable(file.address, got, f"a column {_COLUMN!r}, or a single one of text")
    return texts[0]


def _parquet_parts(file: CorpusFile) -> list[Part]:
    with file.open() as opened, _table_errors(file):
        table = _parquet_file(opened)
        column = _text_column(file, table.schema_arrow)
        place = table.schema_arrow.names.index(column)
        groups = [table.metadata.row_group(at) for at in range(table.metadata.num_row_groups)]
        return [
            Part("parquet", file, at, at + 1, _column_bytes(group, column, place), column)
            for at, group in enumerate(groups)
            if group.num_rows
        ]


def _column_bytes(group: parquet.RowGroupMetaData, column: str, place: int) -> int:
    paths = [group.column(at) for at in range(group.num_columns)]
    own = next((each for each in paths if each.path_in_schema == column), paths[place])
    return int(own.total_uncompressed_size)


def _parquet_file(opened: BinaryIO) -> parquet.ParquetFile:
    pyarrow_module()
    from pyarrow import parquet

    return parquet.ParquetFile(opened)


def _parquet_documents(part: Part) -> Iterator[str]:
    with part.file.open() as opened, _table_errors(part.file):
        batches = _parquet_file(opened).iter_batches(
            batch_size=64, row_groups=[part.begin], columns=[part.column], use_threads=False
        )
        for batch in batches:
            yield from _strings(batch.column(0))


def _arrow_parts(file: CorpusFile) -> list[Part]:
    """A part is several record batches; of a file in a store, which would have to be read whole to
    find them, it is all."""
    column, sizes = "", []
    with _table_errors(file), _arrow_reader(file) as reader:
        column = _text_column(file, reader.schema)
        if is_store(file.address):
            return [Part("arrow", file, 0, 1 << 31, file.size, column)]
        place = reader.schema.names.index(column)
        sizes = [batch.column(place).nbytes for batch in reader]
    parts: list[Part] = []
    begin, size = 0, 0
    for at, each in enumerate(sizes):
        size += each
        if size >= SHARD_BYTES or at == len(sizes) - 1:
            parts.append(Part("arrow", file, begin, at + 1, size, column))
            begin, size = at + 1, 0
    return parts


@contextmanager
def _arrow_reader(file: CorpusFile) -> Iterator[pyarrow.RecordBatchStreamReader]:
    """Open a stream of record batches; a file on this machine as memory, of which only the batches
    that are used are read."""
    arrow = pyarrow_module()
    if is_store(file.address):
        with file.open() as opened, arrow.ipc.open_stream(opened) as reader:
            yield reader
        return
    with arrow.memory_map(file.address) as mapped, arrow.ipc.open_stream(mapped) as reader:
        yield reader


def _arrow_documents(part: Part) -> Iterator[str]:
    with _table_errors(part.file), _arrow_reader(part.file) as reader:
        place = reader.schema.names.index(part.column)
        for at, batch in enumerate(reader):
            if at >= part.end:
                return
            if at >= part.begin:
                yield from _strings(batch.column(place))


def _strings(column: pyarrow.Array) -> Iterator[str]:
    """Yield a column's texts, one at a time: a list of all would hold them twice."""
    for value in column:
        text = value.as_py()
        if text is not None:
            yield text


def cut_short(file: CorpusFile, got: str, expected: str) -> OptionError:
    """Return the error for a file that ends before its time."""
    return OptionError(
        "a file of --corpus is cut short or damaged",
        got=f"{file.address}: {got}",
        expected=expected,
        next_step="get it again; what was counted before stays for the next run.",
    )


FORMATS = {
    "txt": Format(_byte_parts("txt"), _text_documents),
    "text": Format(_byte_parts("text"), _text_documents),
    "jsonl": Format(_byte_parts("jsonl"), _json_documents),
    "ndjson": Format(_byte_parts("ndjson"), _json_documents),
    "parquet": Format(_parquet_parts, _parquet_documents),
    "arrow": Format(_arrow_parts, _arrow_documents),
}
