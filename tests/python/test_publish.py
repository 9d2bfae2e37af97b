"""Cutting at tensors' borders, and publishing to a folder: what is sent, in which order, and what a
reader finds meanwhile."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import os
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from contract_examples import EXAMPLES
from hypothesis import given
from hypothesis import strategies as st
from publish_bundles import TENSORS, files_of, make_bundle, read_model, weights_of

from oriel.cli import main
from oriel.errors import OrielError, PublishError
from oriel.progress import Silent
from oriel.publishing import leases
from oriel.publishing.cut_file import (
    DEFAULT_CHUNK_BYTES,
    MIN_OWN_CHUNK_BYTES,
    cut_lengths,
    tensor_borders,
)
from oriel.publishing.open_place import open_place
from oriel.publishing.prune import prune
from oriel.publishing.publish import Published, publish
from oriel.publishing.published_names import (
    CHUNKS,
    PUBLISHING,
    PublishedObject,
    is_chunk_name,
    is_manifest_name,
)
from oriel.publishing.to_folder import FolderPlace

LEAST = 100_000
sizes_of_tensors = st.lists(st.integers(1, 5_000_000), min_size=1, max_size=40)
max_bytes = st.integers(4096, 9_000_000)


def borders(sizes: list[int]) -> list[int]:
    return list(itertools.accumulate(sizes))


def spans(sizes: list[int], max_bytes: int) -> list[tuple[int, int]]:
    ends = borders(cut_lengths(sum(sizes), borders(sizes), max_bytes))
    return list(zip([0, *ends], ends, strict=False))


@given(sizes_of_tensors, max_bytes)
def test_chunks_are_the_file_and_none_is_too_long(sizes: list[int], max_bytes: int) -> None:
    lengths = cut_lengths(sum(sizes), borders(sizes), max_bytes)
    assert sum(lengths) == sum(sizes)
    assert all(1 <= length <= max_bytes for length in lengths)


@given(sizes_of_tensors, max_bytes, st.data())
def test_a_changed_tensor_changes_only_chunks_that_touch_it(
    sizes: list[int], max_bytes: int, data: st.DataObject
) -> None:
    # Cuts don't depend on values at all, so these are all that can differ.
    changed = data.draw(st.integers(0, len(sizes) - 1))
    start, end = sum(sizes[:changed]), sum(sizes[: changed + 1])
    touching = [span for span in spans(sizes, max_bytes) if span[0] < end and span[1] > start]
    # A large tensor shares its first chunk with nothing before it.
    if end - start >= min(MIN_OWN_CHUNK_BYTES, max_bytes):
        assert touching[0][0] == start
    assert touching[-1][1] - touching[0][0] <= (end - start) + 2 * max_bytes


@given(sizes_of_tensors, sizes_of_tensors, sizes_of_tensors, max_bytes)
def test_what_comes_before_a_large_tensor_shifts_nothing_after_it(
    one: list[int], other: list[int], after: list[int], max_bytes: int
) -> None:
    after = [2**23, *after]

    def ends(before: list[int]) -> list[int]:
        return [
            end - sum(before) for _, end in spans(before + after, max_bytes) if end > sum(before)
        ]

    assert ends(one) == ends(other)


def test_small_tensors_ride_with_the_large_one_before_them() -> None:
    mb = 2**20
    sizes = [10, 4 * mb, 100, 200, 20 * mb, 50, 3 * mb - 1, 7]
    assert cut_lengths(sum(sizes), borders(sizes), 8 * mb) == [
        10,
        4 * mb + 300,
        8 * mb,
        8 * mb,
        4 * mb + 50 + 3 * mb - 1,
        7,
    ]
    assert cut_lengths(10, [], 4) == [4, 4, 2]


def test_borders_of_encoded_weights_keep_scales_with_their_values() -> None:
    text = (EXAMPLES / "valid" / "manifest__encoded.json").read_text(encoding="utf-8")
    variants = json.loads(text)["variants"]
    assert tensor_borders(Path(), variants, "model_q4.onnx.data") == {0, 640, 832, 1088}


def test_borders_of_plain_weights_are_the_graphs(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path, weights_of())
    variants = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))["variants"]
    starts = {0, *borders(list(TENSORS.values()))[:-1]}
    assert tensor_borders(bundle, variants, "model.onnx.data") == starts
    assert tensor_borders(bundle, variants, "tokenizer.json") == set()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "bundle", weights_of())


@pytest.fixture
def place(tmp_path: Path) -> FolderPlace:
    return FolderPlace(str(tmp_path / "site" / "models" / "demo"))


def send(bundle: Path, place: Any, version: str | None = "1.0.0") -> Published:
    return publish(bundle, place, version, Silent(), LEAST)


def reader(place: FolderPlace) -> Any:
    return lambda name: (place.folder / name).read_bytes()


def everything(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def test_a_folder_holds_chunks_and_two_manifests(bundle: Path, place: FolderPlace) -> None:
    published = send(bundle, place)
    assert read_model(reader(place)) == files_of(bundle)
    names = everything(place.folder)
    assert names["manifest.json"] == names["manifest-1.0.0.json"]
    manifest = json.loads(names["manifest.json"])
    assert manifest["version"] == "1.0.0"
    for name, data in names.items():
        plain = name.removesuffix(".gz")
        assert is_manifest_name(plain) or is_chunk_name(plain)
        assert len(data) <= LEAST or plain.startswith("manifest")
        if name != plain:
            assert gzip.decompress(data) == names[plain]
    compressed = {n.removesuffix(".gz") for n in names if n.endswith(".gz")}
    assert compressed == {n for n in names if n.endswith((".json", ".onnx"))}
    # Chunks first, the newest manifest last.
    assert published.sent[-2:] == ["manifest-1.0.0.json", "manifest.json"]
    assert all(name.startswith(CHUNKS) for name in published.sent[:-2])
    large = [c for f in manifest["files"] for c in f["chunks"] if f["path"] == "model.onnx.data"]
    starts = {0, *borders([c["bytes"] for c in large])}
    assert starts >= {700_000, 1_001_712}, "tensors of a chunk's size and more begin one"


def test_publishing_again_sends_nothing(bundle: Path, place: FolderPlace) -> None:
    send(bundle, place)
    before = {f: f.stat().st_mtime_ns for f in place.folder.rglob("*")}
    # Nor does it read the weights.
    (bundle / "model.onnx.data").chmod(0)
    began = time.monotonic()
    assert send(bundle, place).sent == []
    assert time.monotonic() - began < 2
    assert {f: f.stat().st_mtime_ns for f in place.folder.rglob("*")} == before


def test_without_a_version_the_content_names_it(bundle: Path, place: FolderPlace) -> None:
    first = send(bundle, place, None)
    assert (place.folder / f"manifest-{first.version}.json").is_file()
    again = send(bundle, place, None)
    assert (again.version, again.sent) == (first.version, [])


def test_a_version_that_was_published_indented_is_the_same(
    bundle: Path, place: FolderPlace
) -> None:
    """As earlier releases wrote manifests."""
    for version in (None, "1.0.0"):
        first = send(bundle, place, version)
        names = (f"manifest-{first.version}.json", "manifest.json")
        files = [place.folder / name for name in names]
        for file in files:
            text = json.dumps(json.loads(file.read_bytes()), indent=1, ensure_ascii=False)
            file.write_text(f"{text}\n", "utf-8")
        before = [file.read_bytes() for file in files]
        again = send(bundle, place, version)
        assert (again.version, again.sent) == (first.version, [])
        # And where a chunk has to be sent again.
        next((place.folder / "chunks").iterdir()).unlink()
        assert all(name.startswith("chunks/") for name in send(bundle, place, version).sent)
        assert [file.read_bytes() for file in files] == before


def test_a_version_is_named_by_its_content_as_ever(bundle: Path, place: FolderPlace) -> None:
    found = send(bundle, place, None)
    manifest = json.loads((place.folder / "manifest.json").read_bytes())
    assert manifest.pop("version") == found.version
    text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
    assert found.version == hashlib.sha256(text.encode()).hexdigest()[:12]


def test_a_second_version_sends_what_differs_and_the_first_stays(
    tmp_path: Path, bundle: Path, place: FolderPlace
) -> None:
    send(bundle, place)
    tensors = weights_of()
    tensors["c_attn"] = tensors["c_attn"][:-1] + b"!"
    second = make_bundle(tmp_path / "second", tensors)
    published = send(second, place, "1.1.0")
    chunks = [name for name in published.sent if name.startswith(CHUNKS)]
    assert len(chunks) == 1, "the last piece of that tensor"
    assert read_model(reader(place)) == files_of(second)
    assert read_model(reader(place), "manifest-1.1.0.json") == files_of(second)
    assert read_model(reader(place), "manifest-1.0.0.json") == files_of(bundle)
    assert prune(place, False).names == ()


def test_a_version_is_never_changed(tmp_path: Path, bundle: Path, place: FolderPlace) -> None:
    send(bundle, place)
    newest = (place.folder / "manifest.json").read_bytes()
    other = make_bundle(tmp_path / "other", weights_of(1))
    with pytest.raises(PublishError, match=r"version 1\.0\.0 already"):
        send(other, place)
    assert (place.folder / "manifest.json").read_bytes() == newest
    assert read_model(reader(place)) == files_of(bundle)
    assert read_model(reader(place), "manifest-1.0.0.json") == files_of(bundle)
    packed = (place.folder / "manifest-1.0.0.json.gz").read_bytes()
    assert gzip.decompress(packed) == newest


class Breaking(FolderPlace):
    """Fails once it has written so many objects."""

    def __init__(self, address: str, after: int) -> None:
        super().__init__(address)
        self.left = after

    def put(self, item: PublishedObject) -> None:
        if item.name.startswith(CHUNKS):
            self.left -= 1
        if self.left < 0:
            raise PublishError("the line broke")
        super().put(item)


def test_an_interrupted_run_is_taken_up_and_shows_nothing(bundle: Path, place: FolderPlace) -> None:
    with pytest.raises(PublishError, match="the line broke"):
        send(bundle, Breaking(place.address, 5))
    there = set(everything(place.folder))
    assert not any(is_manifest_name(name) for name in there)
    assert not any(name.startswith(PUBLISHING) for name in there)
    chunks = {n for n in there if not n.endswith(".gz")}
    published = send(bundle, place)
    assert len(chunks) == 5
    assert not chunks & set(published.sent)
    assert read_model(reader(place)) == files_of(bundle)


def test_a_chunk_that_was_cut_short_is_sent_again(bundle: Path, place: FolderPlace) -> None:
    published = send(bundle, place)
    broken = next(name for name in published.sent if name.endswith(".bin"))
    (place.folder / broken).write_bytes(b"")
    assert send(bundle, place).sent == [broken]
    assert read_model(reader(place)) == files_of(bundle)


def test_two_publishers_at_once_leave_two_whole_versions(
    tmp_path: Path, place: FolderPlace
) -> None:
    bundles = [make_bundle(tmp_path / str(n), weights_of(n)) for n in range(4)]
    errors: list[BaseException] = []
    stop = threading.Event()

    def run(number: int) -> None:
        try:
            send(bundles[number], place, f"0.{number}")
        except BaseException as error:  # noqa: BLE001 - shown below
            errors.append(error)

    def look() -> None:
        while not stop.is_set():
            try:
                if (place.folder / "manifest.json").exists():
                    read_model(reader(place))
            except BaseException as error:  # noqa: BLE001 - shown below
                errors.append(error)

    visitor = threading.Thread(target=look)
    visitor.start()
    threads = [threading.Thread(target=run, args=[n]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    visitor.join()
    assert errors == []
    for number, made in enumerate(bundles):
        assert read_model(reader(place), f"manifest-0.{number}.json") == files_of(made)
    assert read_model(reader(place)) in [files_of(made) for made in bundles]


def test_the_same_version_of_two_publishers_is_one_of_them(
    tmp_path: Path, place: FolderPlace
) -> None:
    bundles = [make_bundle(tmp_path / str(n), weights_of(n)) for n in range(2)]
    refused: list[PublishError] = []

    def run(number: int) -> None:
        try:
            send(bundles[number], place)
        except PublishError as error:
            refused.append(error)

    threads = [threading.Thread(target=run, args=[n]) for n in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 1
    whole = read_model(reader(place), "manifest-1.0.0.json")
    assert whole in [files_of(made) for made in bundles]
    assert read_model(reader(place)) == whole


def test_pruning_removes_what_no_manifest_names(
    tmp_path: Path, bundle: Path, place: FolderPlace
) -> None:
    send(bundle, place)
    send(make_bundle(tmp_path / "second", weights_of(1)), place, "2.0.0")
    (place.folder / "chunks" / "notes.txt").write_text("mine", encoding="utf-8")
    before = everything(place.folder)
    assert prune(place, True).names == ()
    for name in ("manifest-1.0.0.json", "manifest-1.0.0.json.gz"):
        (place.folder / name).unlink()
        del before[name]
    dry = prune(place, False)
    assert not dry.done
    assert dry.names
    assert everything(place.folder) == before
    assert prune(place, True).names == dry.names
    after = everything(place.folder)
    assert after == {name: data for name, data in before.items() if name not in dry.names}
    assert "chunks/notes.txt" in after
    assert read_model(reader(place)) == files_of(tmp_path / "second")
    assert dry.bytes == sum(len(before[name]) for name in dry.names)


def test_pruning_removes_nothing_where_a_manifest_is_unreadable(
    bundle: Path, place: FolderPlace
) -> None:
    send(bundle, place)
    (place.folder / "manifest-0.9.json").write_text('{"format": "oriel-bundle"', encoding="utf-8")
    before = everything(place.folder)
    for really in (True, False):
        with pytest.raises(PublishError, match=r"manifest-0\.9\.json .* nothing is removed"):
            prune(place, really)
    assert everything(place.folder) == before


def test_a_place_without_manifests_is_not_pruned(tmp_path: Path) -> None:
    with pytest.raises(PublishError, match="no manifest"):
        prune(FolderPlace(str(tmp_path)), True)


def test_pruning_and_publishing_keep_off_each_other(
    bundle: Path, place: FolderPlace, monkeypatch: pytest.MonkeyPatch
) -> None:
    send(bundle, place)
    with (
        leases.publishing(place),
        pytest.raises(PublishError, match="in use"),
    ):
        prune(place, True)
    monkeypatch.setattr(leases, "_MAX_WAIT_S", 0)
    with (
        leases.pruning(place),
        pytest.raises(PublishError, match="being pruned"),
    ):
        send(bundle, place, "2")
    assert not any(n.startswith(("publishing", "pruning")) for n in everything(place.folder))
    # What a killed run left counts for an hour, and then goes.
    left = place.folder / f"{PUBLISHING}0011"
    left.touch()
    with pytest.raises(PublishError, match="in use"):
        prune(place, True)
    old = time.time() - 2 * leases.STALE_S
    os.utime(left, (old, old))
    assert prune(place, True).names == (left.name,)


def test_a_killed_run_is_taken_up_and_what_it_left_is_pruned(
    tmp_path: Path, place: FolderPlace
) -> None:
    tensors = weights_of(0, {f"t{n}": 300_000 for n in range(40)})
    bundle = make_bundle(tmp_path / "bundle", tensors)
    args = ["publish", str(bundle), "--to", place.address, "--chunk-bytes", "20000"]
    code = f"import sys; from oriel.cli import main; sys.exit(main({args!r}))"
    with subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL) as process:
        chunks = place.folder / CHUNKS
        until = time.monotonic() + 30
        while not chunks.is_dir() or len(list(chunks.glob("*.bin"))) < 20:
            assert time.monotonic() < until
        process.kill()
    there = everything(place.folder)
    assert not any(is_manifest_name(name) for name in there)
    whole = {name for name in there if is_chunk_name(name)}
    published = publish(bundle, place, "1", Silent(), 20_000)
    assert not whole & set(published.sent)
    assert read_model(reader(place)) == files_of(bundle)
    # A chunk that was being written, and the lease of who wrote it.
    left = [chunks / ".ab.bin.oriel-0123456789ab", *place.folder.glob(f"{PUBLISHING}*")]
    left[0].write_bytes(b"half")
    old = time.time() - 2 * leases.STALE_S
    for file in left:
        os.utime(file, (old, old))
    for file in chunks.glob(".*"):
        os.utime(file, (old, old))
    names = prune(place, True).names
    assert {str(file.relative_to(place.folder)) for file in left} <= set(names)
    assert read_model(reader(place)) == files_of(bundle)


@pytest.mark.skipif(os.name != "posix", reason="permissions as POSIX has them")
def test_a_folder_that_cannot_be_written_is_told_in_a_line(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    for way in ("file/models", "file"):
        with pytest.raises(PublishError, match="can't publish to") as caught:
            send(bundle, FolderPlace(str(tmp_path / way)))
        assert "\n" not in str(caught.value)
    if os.geteuid() != 0:
        locked = tmp_path / "locked"
        locked.mkdir(mode=stat.S_IRUSR | stat.S_IXUSR)
        with pytest.raises(PublishError, match="Permission denied"):
            send(bundle, FolderPlace(str(locked)))
        assert list(locked.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda b: (b / "model.onnx.data").unlink(), "no file"),
        (lambda b: (b / "tokenizer.json").write_bytes(b"{}"), "2 bytes"),
        (lambda b: (b / "manifest.json").unlink(), "no bundle"),
    ],
)
def test_a_bundle_that_is_not_whole_is_refused(
    bundle: Path, place: FolderPlace, change: Any, said: str
) -> None:
    change(bundle)
    with pytest.raises(OrielError, match=said):
        send(bundle, place)
    assert not place.folder.exists()


def test_a_file_that_was_changed_is_not_published(bundle: Path, place: FolderPlace) -> None:
    data = bytearray((bundle / "model.onnx.data").read_bytes())
    data[-1] ^= 1
    (bundle / "model.onnx.data").write_bytes(data)
    with pytest.raises(PublishError, match="was changed after it was exported"):
        send(bundle, place)
    assert not any(is_manifest_name(name) for name in everything(place.folder))


def test_neither_the_bundle_itself_nor_a_published_model_is_taken(
    bundle: Path, place: FolderPlace
) -> None:
    with pytest.raises(PublishError, match="the bundle itself"):
        send(bundle, FolderPlace(str(bundle)))
    send(bundle, place)
    with pytest.raises(PublishError, match="a published model"):
        send(place.folder, FolderPlace(str(place.folder.parent / "other")))


def test_the_command_line(
    bundle: Path, place: FolderPlace, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["publish", str(bundle), "--to", place.address, "--version", "1.0.0"]
    assert main([*command, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["sent"] == result["chunks"] + 2
    assert result["version"] == "1.0.0"
    assert main([*command, "--prune"]) == 0
    shown = capsys.readouterr().out
    assert "nothing was sent" in shown
    assert "would remove 0 objects" in shown


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--to", "ftp://host/x"], "expected a folder, s3://"),
        (["--to", "s3://"], "names no place"),
        (["--to", "hf://name"], "expected hf://org/name"),
        (["--to", "x", "--version", "../1"], "can't stand in a URL"),
        (["--to", "x", "--chunk-bytes", "0"], "out of range"),
        (["--to", "x", "--yes"], "says yes to nothing"),
        (["--to", "x", "--endpoint", "http://h"], "for s3:// alone"),
        ([], "required: --to"),
    ],
)
def test_wrong_words_are_told_in_a_line(
    bundle: Path, args: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["publish", str(bundle), *args]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("obstore", "obstore.store", "obstore.exceptions"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(PublishError, match=r"oriel\[publish\]"):
        open_place("s3://bucket/demo")


def test_publishing_loads_no_torch(bundle: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from oriel.cli import main; "
        f"code = main(['publish', {str(bundle)!r}, '--to', {str(tmp_path / 'out')!r}]); "
        "sys.exit(code or 'torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_the_default_chunk_is_one_that_hosts_take() -> None:
    assert DEFAULT_CHUNK_BYTES == 8 * 2**20


@pytest.fixture(autouse=True)
def _readable_again(tmp_path: Path) -> Iterator[None]:
    yield
    for file in tmp_path.rglob("*"):
        if file.is_file():
            file.chmod(0o644)
