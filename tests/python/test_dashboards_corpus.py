"""Tests the corpora of `oriel dashboards`: every kind of file gives its documents once, however it
is parted, here and in an object store; and what is no corpus is told in a line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow
import pytest
from dashboard_runs import after_saves, passages, run, stop, write_text
from publish_servers import s3_server
from pyarrow import parquet

from oriel.bundle.atomic_folder import unwritable
from oriel.cli import main
from oriel.dashboards import formats, make_set, unfinished
from oriel.dashboards.corpus import open_corpus

TEXTS = [*passages(40), 'a "quoted" line,\nand a second one', "ein Übergang über Flüsse"]


def jsonl(file: Path, texts: list[str]) -> Path:
    rows = [json.dumps({"id": at, "text": text}) for at, text in enumerate(texts)]
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return file


def table(texts: list[str]) -> pyarrow.Table:
    return pyarrow.table({"id": list(range(len(texts))), "text": texts})


def as_parquet(file: Path, texts: list[str]) -> Path:
    parquet.write_table(table(texts), file, row_group_size=7)
    return file


def as_dataset(folder: Path, texts: list[str]) -> Path:
    """Write a folder as `datasets` saves one: streams of record batches, and notes beside."""
    folder.mkdir()
    (folder / "dataset_info.json").write_text("{}")
    (folder / "state.json").write_text("{}")
    for part, rows in enumerate((texts[:25], texts[25:])):
        with (
            pyarrow.OSFile(str(folder / f"data-0000{part}-of-00002.arrow"), "wb") as out,
            pyarrow.ipc.new_stream(out, table(rows).schema) as stream,
        ):
            for batch in table(rows).to_batches(max_chunksize=5):
                stream.write_batch(batch)
    return folder


def documents(*addresses: str | Path, endpoint: str | None = None) -> list[str]:
    corpus = open_corpus(list(map(str, addresses)), endpoint, None)
    return [text for shard in range(len(corpus.shards)) for text in corpus.documents(shard)]


@pytest.mark.parametrize("size", [1, 50, 333, 1 << 20])
def test_every_kind_of_file_gives_each_document_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(formats, "SHARD_BYTES", size)
    assert documents(jsonl(tmp_path / "some.jsonl", TEXTS)) == TEXTS
    assert documents(as_parquet(tmp_path / "some.parquet", TEXTS)) == TEXTS
    assert documents(as_dataset(tmp_path / "set", TEXTS)) == TEXTS
    lines = "\n".join(documents(write_text(tmp_path / "some.txt", TEXTS))).split("\n")
    assert lines == "\n".join(TEXTS).split("\n"), "a passage may be parted, at a line's end"
    folder = tmp_path / "folder"
    folder.mkdir()
    jsonl(folder / "a.jsonl", TEXTS[:9])
    jsonl(folder / "b.jsonl", TEXTS[9:])
    assert documents(folder) == TEXTS


def test_an_object_store_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import obstore
    from obstore.store import S3Store

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setattr(formats, "SHARD_BYTES", 333)
    with s3_server() as server:
        server.make_bucket("texts")
        store = S3Store(
            "texts", config={"endpoint": server.endpoint}, client_options={"allow_http": True}
        )
        for file in (
            jsonl(tmp_path / "some.jsonl", TEXTS),
            as_parquet(tmp_path / "some.parquet", TEXTS),
            *as_dataset(tmp_path / "set", TEXTS).iterdir(),
        ):
            name = file.relative_to(tmp_path).as_posix()
            obstore.put(store, f"corpus/{name}", file.read_bytes())
        for name in ("some.jsonl", "some.parquet", "set"):
            assert documents(f"s3://texts/corpus/{name}", endpoint=server.endpoint) == TEXTS


def test_a_long_document_is_read_in_slices(tmp_path: Path) -> None:
    text = "word " * 200_000 + "x" * 600_000
    found = documents(jsonl(tmp_path / "long.jsonl", [text]))
    assert "".join(found) == text
    assert max(map(len, found)) <= 1 << 18


def cut(file: Path) -> Path:
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3])
    return file


def written(file: Path, data: bytes) -> Path:
    file.write_bytes(data)
    return file


def ids_alone(file: Path) -> Path:
    parquet.write_table(pyarrow.table({"input_ids": [[1, 2], [3]]}), file)
    return file


def splits(folder: Path) -> Path:
    as_dataset(folder, TEXTS)
    (folder / "dataset_dict.json").write_text('{"splits": ["train"]}')
    return folder


BAD: dict[str, tuple[Callable[[Path], Path], str]] = {
    "nothing there": (lambda at: at / "none.txt", "--corpus can't be read"),
    "empty": (lambda at: written(at / "a.txt", b""), "--corpus is empty"),
    "blank": (lambda at: written(at / "a.txt", b"\n \n\n"), "--corpus is empty"),
    "another kind": (lambda at: written(at / "a.pdf", b"%PDF"), "is a file of no known kind"),
    "a folder of others": (
        lambda at: written(written(at / "a.bin", b"x").with_name("b.bin"), b"y").parent,
        "holds files of no known kind",
    ),
    "not text": (lambda at: written(at / "a.txt", b"ab\xff\xfe cd\n"), "byte 0xff at 2"),
    "zero bytes": (lambda at: written(at / "a.txt", b"ab\0\n"), "a zero byte at 2"),
    "no line ends": (lambda at: written(at / "a.txt", b"a" * (1 << 24) + b"bc"), "16 MiB"),
    "half a line": (lambda at: cut(jsonl(at / "a.jsonl", TEXTS)), "is cut short or damaged"),
    "not JSON": (lambda at: written(at / "a.jsonl", b'{"text": 1\n{}\n'), "the line at byte 0"),
    "no text entry": (lambda at: written(at / "a.jsonl", b'{"body": "x"}\n'), "has body"),
    "half a table": (lambda at: cut(as_parquet(at / "a.parquet", TEXTS)), "cut short or damaged"),
    "half a stream": (
        lambda at: cut(as_dataset(at / "set", TEXTS) / "data-00001-of-00002.arrow"),
        "cut short or damaged",
    ),
    "ids of a tokenizer": (
        lambda at: ids_alone(at / "a.parquet"),
        "token ids of another tokenizer",
    ),
    "several splits": (lambda at: splits(at / "set"), "a dataset of several splits"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_corpus_is_told_in_a_line(
    dashboard_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    make, said = BAD[name]
    (tmp_path / "in").mkdir()
    corpus = make(tmp_path / "in")
    assert run(dashboard_bundle, tmp_path / "out", "--corpus", corpus) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1, error
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in"]


def test_text_of_another_tokenizer_is_refused(
    dashboard_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A vocabulary of a few words, with a token for all others."""
    bundle = tmp_path / "bundle"
    shutil.copytree(dashboard_bundle, bundle)
    said = json.loads((bundle / "tokenizer.json").read_text())
    said["pre_tokenizer"] = {"type": "Whitespace"}
    said["model"] = {"type": "WordLevel", "vocab": {"[UNK]": 0, "the": 1}, "unk_token": "[UNK]"}
    (bundle / "tokenizer.json").write_text(json.dumps(said))
    corpus = write_text(tmp_path / "some.txt", TEXTS)
    assert run(bundle, tmp_path / "out", "--corpus", corpus) == 2
    assert "--corpus is text that the model's tokenizer doesn't know" in capsys.readouterr().err
    said["model"] = {"type": "WordLevel", "vocab": {"[UNK]": 999, "the": 1}, "unk_token": "[UNK]"}
    said["added_tokens"] = []
    (bundle / "tokenizer.json").write_text(json.dumps(said))
    corpus = write_text(tmp_path / "some.txt", ["the the the the the the other", "the the"])
    assert run(bundle, tmp_path / "out", "--corpus", corpus) == 2
    assert "a token that the model has no row for" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_no_room_is_told_before_a_run_and_in_its_middle(
    dashboard_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    corpus = write_text(tmp_path / "some.txt", TEXTS)
    usage = shutil.disk_usage(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1000))
        assert run(dashboard_bundle, tmp_path / "out", "--corpus", corpus) == 2
    assert "no space left for" in capsys.readouterr().err

    def full(files: dict[Path, bytes]) -> None:
        raise unwritable(next(iter(files)).parent, OSError(28, "No space left"))

    monkeypatch.setattr(unfinished, "write_files_whole", full)
    assert run(dashboard_bundle, tmp_path / "out", "--corpus", corpus) == 2
    error = capsys.readouterr().err
    assert "no space left for" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--tokens", "1"], "--tokens is too small; got 1; expected 2 or more"),
        (["--workers", "2"], "--workers is for --ray"),
        (["--out", "bundle/made"], "--out lies in the bundle; got bundle/made"),
    ],
)
def test_options_that_cannot_be_meant_are_refused_before_anything_is_read(
    words: list[str],
    said: str,
    dashboard_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("bundle").symlink_to(dashboard_bundle)
    write_text(Path("some.txt"), TEXTS)
    before = sorted(dashboard_bundle.iterdir())
    base = ["dashboards", "bundle", "--corpus", "some.txt", "--out", "out"]
    assert main([*base, *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert sorted(dashboard_bundle.iterdir()) == before
    assert sorted(each.name for each in tmp_path.iterdir()) == ["bundle", "some.txt"]


def test_a_run_that_counted_nothing_stands_in_no_way(
    dashboard_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus, out = write_text(tmp_path / "some.txt", TEXTS), tmp_path / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(make_set, "_joined", lambda *_: stop())
        assert run(dashboard_bundle, out, "--corpus", corpus) == 130
    assert [each.name for each in tmp_path.iterdir()] == ["some.txt"]
    assert run(dashboard_bundle, out, "--corpus", corpus, "--kinds", "mlp_act") == 0


def test_another_run_beside_and_a_damaged_state_are_told(
    dashboard_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(formats, "SHARD_BYTES", 500)
    corpus, out = write_text(tmp_path / "some.txt", TEXTS), tmp_path / "out"
    with pytest.MonkeyPatch.context() as patch:
        after_saves(patch, 1, stop)
        assert run(dashboard_bundle, out, "--corpus", corpus) == 130
    capsys.readouterr()
    assert run(dashboard_bundle, out, "--corpus", corpus, "--kinds", "mlp_act") == 2
    assert "of an unfinished run of other arguments" in capsys.readouterr().err
    cut(tmp_path / "out.unfinished" / "state.npz")
    assert run(dashboard_bundle, out, "--corpus", corpus) == 2
    error = capsys.readouterr().err
    assert "state of an unfinished run is damaged" in error
    assert error.count("\n") == 1
