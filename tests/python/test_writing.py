"""Bundles are replaced whole or not at all: crashes, full disks, Ctrl-C, links, and others at the
same time."""

from __future__ import annotations

import errno
import os
import re
import resource
import shutil
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from checkpoint_files import checked_line
from command_lines import export_main

import oriel
from oriel.bundle import atomic_folder
from oriel.bundle.atomic_folder import (
    is_staged_name,
    replaced_folder,
    staged_name,
    write_files_whole,
)
from oriel.bundle.write_bundle import BundlePaths, check_replaceable
from oriel.errors import BundleError, OptionError


def snapshot(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder, hidden things too, with the bytes of its files."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def fill(folder: Path, text: str = "new") -> None:
    for name in ("a", "b"):
        (folder / name).write_text(text)


def fill_and_fail(folder: Path, failure: BaseException) -> None:
    with replaced_folder(folder) as staged:
        (staged / "a").write_text("half")
        raise failure


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with an older content, and nothing beside it."""
    folder = tmp_path / "models" / "tiny"
    folder.mkdir(parents=True)
    fill(folder, "old")
    (folder / "gone").write_text("old")
    return folder


@pytest.fixture(params=["exchange", "step aside"])
def either_way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With the system's atomic exchange of two folders, and as it goes without it."""
    way = str(request.param)
    if way == "step aside":
        monkeypatch.setattr(atomic_folder, "_exchange", lambda *_: False)
    return way


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.usefixtures("either_way")
class TestReplacing:
    def test_a_new_folder_appears_whole(self, tmp_path: Path) -> None:
        folder = tmp_path / "deep" / "down" / "tiny"
        with replaced_folder(folder) as staged:
            fill(staged)
            assert not folder.exists()
        assert snapshot(tmp_path / "deep") == {
            "down": None,
            "down/tiny": None,
            "down/tiny/a": b"new",
            "down/tiny/b": b"new",
        }

    def test_an_old_one_gives_way_whole(self, place: Path) -> None:
        with replaced_folder(place) as staged:
            fill(staged)
            assert (place / "gone").exists()
        assert snapshot(place.parent) == {"tiny": None, "tiny/a": b"new", "tiny/b": b"new"}

    @pytest.mark.parametrize(
        "failure",
        [RuntimeError("a crash"), KeyboardInterrupt(), SystemExit(1), MemoryError()],
        ids=lambda failure: type(failure).__name__,
    )
    def test_whatever_fails_leaves_the_old_one(self, failure: BaseException, place: Path) -> None:
        before = snapshot(place.parent)
        with pytest.raises(type(failure)):
            fill_and_fail(place, failure)
        assert snapshot(place.parent) == before

    def test_what_fails_without_an_old_one_leaves_nothing(self, tmp_path: Path) -> None:
        with pytest.raises(KeyboardInterrupt):
            fill_and_fail(tmp_path / "deep" / "down" / "tiny", KeyboardInterrupt())
        assert snapshot(tmp_path) == {}

    def test_a_last_look_can_keep_the_old_one(self, place: Path) -> None:
        def look() -> None:
            raise BundleError("somebody put a file there")

        before = snapshot(place.parent)
        with pytest.raises(BundleError, match="somebody"), replaced_folder(place, look) as staged:
            fill(staged)
        assert snapshot(place.parent) == before

    def test_a_link_stays_a_link(self, place: Path, tmp_path: Path) -> None:
        link = tmp_path / "links" / "tiny"
        link.parent.mkdir()
        link.symlink_to(place)
        with replaced_folder(link) as staged:
            fill(staged)
            assert staged.parent == place.parent
        assert link.is_symlink()
        assert snapshot(place) == {"a": b"new", "b": b"new"}
        assert [p.name for p in (*link.parent.iterdir(), *place.parent.iterdir())] == ["tiny"] * 2

    def test_a_link_to_nowhere_leads_there_afterwards(self, tmp_path: Path) -> None:
        link = tmp_path / "link"
        link.symlink_to(tmp_path / "elsewhere" / "tiny")
        with replaced_folder(link) as staged:
            fill(staged)
        assert link.is_symlink()
        assert (tmp_path / "elsewhere" / "tiny" / "a").read_text() == "new"

    def test_two_at_once_end_in_one_of_them(self, place: Path, either_way: str) -> None:
        """Four writers and a reader: never a mixture, and, where folders can be exchanged, never
        nothing in between."""
        done = threading.Event()
        seen: list[set[str]] = []
        errors: list[BaseException] = []

        def write(who: int) -> None:
            try:
                for number in range(15):
                    with replaced_folder(place) as staged:
                        fill(staged, f"{who}-{number}")
            except (BundleError, OSError) as error:
                errors.append(error)

        def read() -> None:
            while not done.is_set():
                # One handle to the folder, so that both files are of the same one.
                try:
                    handle = os.open(place, os.O_RDONLY)
                except FileNotFoundError:
                    seen.append(set())
                    continue
                try:
                    seen.append({_read_at(handle, name) for name in ("a", "b")})
                except FileNotFoundError:
                    pass  # it has been replaced, and is being removed
                finally:
                    os.close(handle)

        reader = threading.Thread(target=read)
        writers = [threading.Thread(target=write, args=(who,)) for who in range(4)]
        reader.start()
        for thread in writers:
            thread.start()
        for thread in writers:
            thread.join()
        done.set()
        reader.join()
        assert errors == []
        least = 1 if either_way == "exchange" else 0
        assert [len(texts) for texts in seen if not least <= len(texts) <= 1] == []
        assert seen
        assert len({*snapshot(place).values()}) == 1
        assert [p.name for p in place.parent.iterdir()] == ["tiny"]


def _read_at(folder: int, name: str) -> str:
    with os.fdopen(os.open(name, os.O_RDONLY, dir_fd=folder)) as file:
        return file.read()


def test_the_exchange_is_atomic_here(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file system of the tests has it, so that the class above tests two ways and not one."""
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux has renameat2")
    monkeypatch.setattr(atomic_folder, "_step_aside", lambda *_: pytest.fail("stepped aside"))
    with replaced_folder(place) as staged:
        fill(staged)


class TestModes:
    @pytest.mark.parametrize(
        ("mask", "folder", "file"), [(0o022, 0o755, 0o644), (0o077, 0o700, 0o600)]
    )
    def test_a_web_server_can_read_it_where_the_umask_lets_it(
        self, mask: int, folder: int, file: int, tmp_path: Path
    ) -> None:
        with umask(mask), replaced_folder(tmp_path / "tiny") as staged:
            fill(staged)
        assert stat.S_IMODE((tmp_path / "tiny").stat().st_mode) == folder
        assert stat.S_IMODE((tmp_path / "tiny" / "a").stat().st_mode) == file

    def test_an_old_folder_hands_its_mode_on(self, place: Path) -> None:
        place.chmod(0o750)
        with replaced_folder(place) as staged:
            fill(staged)
        assert stat.S_IMODE(place.stat().st_mode) == 0o750

    def test_a_rewritten_file_keeps_its_mode(self, place: Path) -> None:
        (place / "a").chmod(0o640)
        with umask(0o022):
            write_files_whole({place / "a": b"1", place / "fresh": b"2"})
        assert stat.S_IMODE((place / "a").stat().st_mode) == 0o640
        assert stat.S_IMODE((place / "fresh").stat().st_mode) == 0o644

    def test_a_bundle_has_them_too(self, tiny_gpt2_bundle: Path) -> None:
        mask = os.umask(0)
        os.umask(mask)
        for path in (tiny_gpt2_bundle, *tiny_gpt2_bundle.iterdir()):
            full = 0o777 if path.is_dir() else 0o666
            assert stat.S_IMODE(path.stat().st_mode) == full & ~mask, path


class TestLeftovers:
    """A killed run can't clean up; the next one does, for what is surely its own."""

    def left(self, place: Path, name: str | None = None) -> Path:
        folder = place.parent / (name or staged_name(place.name))
        folder.mkdir()
        (folder / "model.onnx.data").write_text("half")
        return folder

    def replace(self, place: Path) -> None:
        with replaced_folder(place) as staged:
            fill(staged)

    def test_they_are_removed(self, place: Path) -> None:
        left = self.left(place)
        assert is_staged_name(left.name)
        self.replace(place)
        assert [p.name for p in place.parent.iterdir()] == ["tiny"]

    @pytest.mark.parametrize(
        "name", [".tiny.oriel-mine", ".tiny.backup", "tiny.oriel-0123456789ab", "tiny.oriel-0123"]
    )
    def test_what_only_looks_like_them_stays(self, name: str, place: Path) -> None:
        left = self.left(place, name)
        self.replace(place)
        assert (left / "model.onnx.data").read_text() == "half"

    @pytest.mark.parametrize("name", ["other", "t[i]*", "模型", "a.b"])
    def test_so_are_those_of_other_models(self, name: str, place: Path) -> None:
        left = self.left(place, staged_name(name))
        self.replace(place)
        assert not left.exists()
        # The other way round as well: nobody may ever export a model of that name again.
        self.left(place, staged_name("tiny"))
        self.replace(place.parent / name)
        assert sorted(p.name for p in place.parent.iterdir()) == sorted(["tiny", name])

    def test_another_model_that_is_just_written_is_left_alone(self, place: Path) -> None:
        with replaced_folder(place.parent / "other") as slow:
            fill(slow, "slow")
            self.replace(place)
            assert (slow / "a").exists()
        assert (place.parent / "other" / "a").read_text() == "slow"

    def test_single_files_go_once_they_are_old(
        self, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        left = place / staged_name("manifest.json")
        left.write_text("half")
        write_files_whole({place / "a": b"1"})
        assert left.exists(), "another run may be just writing it"
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + 2 * 3600)
        write_files_whole({place / "a": b"2"})
        assert sorted(p.name for p in place.iterdir()) == ["a", "b", "gone"]

    def test_a_run_that_is_still_at_it_keeps_its_own(self, place: Path) -> None:
        with replaced_folder(place) as slow:
            fill(slow, "slow")
            self.replace(place)
            assert (slow / "a").exists()
            assert (place / "a").read_text() == "new"
        assert (place / "a").read_text() == "slow"
        assert [p.name for p in place.parent.iterdir()] == ["tiny"]

    def test_those_of_select_are_not_taken_for_strangers(
        self, tiny_gpt2_bundle: Path, tmp_path: Path
    ) -> None:
        bundle = Path(shutil.copytree(tiny_gpt2_bundle, tmp_path / "bundle"))
        (bundle / staged_name("model.onnx")).write_text("half")
        assert check_replaceable(bundle) is not None


class TestRefusals:
    """Each in one line, before anything is written."""

    def refused(self, folder: Path) -> str:
        with pytest.raises(BundleError) as caught, replaced_folder(folder) as staged:
            fill(staged)
        return checked_line(str(caught.value))

    def test_a_file_in_the_way(self, place: Path) -> None:
        before = snapshot(place.parent)
        line = self.refused(place / "a" / "tiny")
        assert line.startswith(f"can't write {place / 'a' / 'tiny'}; got a file where a folder is")
        assert snapshot(place.parent) == before
        with pytest.raises(BundleError, match=r"a is a file; expected a folder"):
            check_replaceable(place / "a")

    def test_links_in_a_circle(self, tmp_path: Path) -> None:
        (tmp_path / "one").symlink_to(tmp_path / "two")
        (tmp_path / "two").symlink_to(tmp_path / "one")
        assert "Too many levels of symbolic links" in self.refused(tmp_path / "one")

    def test_too_long_a_name(self, tmp_path: Path) -> None:
        assert "File name too long" in self.refused(tmp_path / ("x" * 300))
        with pytest.raises(BundleError, match="File name too long"):
            check_replaceable(tmp_path / ("x" * 300))

    def test_the_folder_that_the_command_runs_in(
        self, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        inside = place / "inside"
        inside.mkdir()
        before = snapshot(place.parent)
        for folder in (place, inside):
            monkeypatch.chdir(folder)
            assert "would be replaced while this command runs in it" in self.refused(place)
        assert "would be replaced" in self.refused(Path())
        assert snapshot(place.parent) == before

    def test_the_root(self) -> None:
        assert "/ can't be replaced whole; got the root of a file system" in self.refused(Path("/"))

    def test_a_folder_that_may_not_be_written(
        self, place: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # Modes don't bind root, so the system's answer is given in its place.
        def denied(*_: Any, **__: Any) -> None:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

        monkeypatch.setattr(Path, "mkdir", denied)
        line = self.refused(place)
        assert line.startswith(f"can't write {place}; got Permission denied. Choose another place")

    @pytest.mark.parametrize(
        "make",
        [
            lambda folder: (folder / "thesis.txt").write_text("mine"),
            lambda folder: (folder / "sub").mkdir(),
            lambda folder: (folder / "link").symlink_to("/etc"),
            lambda folder: (folder / "nowhere").symlink_to("/no/such"),
            lambda folder: os.mkfifo(folder / "pipe"),
            lambda folder: (folder / ".hidden").touch(),
            lambda folder: (folder / "model.onnx").write_text("another's") and None,
        ],
    )
    def test_what_is_not_ours(self, make: Callable[[Path], object], tmp_path: Path) -> None:
        make(tmp_path)
        with pytest.raises(BundleError, match="holds what isn't an Oriel bundle's and would be"):
            check_replaceable(tmp_path)

    def test_a_stranger_in_a_bundle(self, tiny_gpt2_bundle: Path, tmp_path: Path) -> None:
        bundle = Path(shutil.copytree(tiny_gpt2_bundle, tmp_path / "bundle"))
        assert check_replaceable(bundle) is not None
        for name in ("verification.json", ".DS_Store"):
            (bundle / name).touch()
        assert check_replaceable(bundle) is not None
        (bundle / "sub").mkdir()
        for name in ("notes.txt", "sub/more.txt", "x", "y"):
            (bundle / name).touch()
        with pytest.raises(BundleError) as caught:
            check_replaceable(bundle)
        assert "got notes.txt, x, y and more; expected a new or empty folder" in str(caught.value)

    @pytest.mark.parametrize("manifest", ["", "{", "[]", '{"format": "other"}', "[" * 100_000])
    def test_a_manifest_of_somebody_else(self, manifest: str, tmp_path: Path) -> None:
        (tmp_path / "manifest.json").write_text(manifest)
        with pytest.raises(BundleError, match=r"got manifest\.json; expected"):
            check_replaceable(tmp_path)

    def test_empty_and_new_folders_are_free(self, tmp_path: Path) -> None:
        assert check_replaceable(tmp_path) is None
        assert check_replaceable(tmp_path / "new") is None

    def test_looking_stops_early(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in "abcdef":
            (tmp_path / name).touch()
        looked: list[str] = []
        walk = os.walk

        def counted(folder: Path) -> Iterator[Any]:
            for step in walk(folder):
                looked.append(str(step[0]))
                yield step

        for name in "uvwxyz":
            (tmp_path / name).mkdir()
        monkeypatch.setattr(os, "walk", counted)
        with pytest.raises(BundleError):
            check_replaceable(tmp_path)
        assert looked == [str(tmp_path)]


class TestPaths:
    @pytest.mark.parametrize(
        ("output", "folder", "graph"),
        [
            ("out/model.onnx", "out", "model.onnx"),
            ("out/tiny.v2.onnx", "out", "tiny.v2.onnx"),
            ("out/", "out", "model.onnx"),
            ("out.v2", "out.v2", "model.onnx"),
            ("out/model.bin", "out/model.bin", "model.onnx"),
            ("Mein Modell é/m.onnx", "Mein Modell é", "m.onnx"),
        ],
    )
    def test_an_output_is_a_graph_or_its_folder(self, output: str, folder: str, graph: str) -> None:
        paths = BundlePaths(Path(output))
        assert (paths.folder, paths.decoder()) == (Path(folder), graph)

    @pytest.mark.parametrize(
        "name", ["mein modell.onnx", "é.onnx", ".x.onnx", "a\nb.onnx", "%.onnx"]
    )
    def test_a_graph_has_a_name_that_a_url_can_hold(self, name: str) -> None:
        with pytest.raises(OptionError, match="a name that can't stand in a URL") as caught:
            BundlePaths(Path("out") / name)
        checked_line(str(caught.value))


def export(output: Path, *flags: str, model: str = "demo") -> int:
    return export_main(["--model", model, "--output", str(output / "model.onnx"), *flags])


def error_line(capsys: pytest.CaptureFixture[str]) -> str:
    out, err = capsys.readouterr()
    assert out == ""
    lines = [line for line in err.splitlines() if not line.startswith("[")]
    assert len(lines) == 1, err
    return checked_line(lines[0])


class Untold(Exception):
    """The tracing went on to its end although nothing could be written."""


@pytest.fixture
def slow_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tracing that takes a minute unless it is told to stop, with a stage every moment."""

    def trace(_spec: Any, _opset: int, on_stage: Any) -> None:
        for moment in range(6000):
            on_stage(f"moment {moment}")
            time.sleep(0.01)
        raise Untold

    monkeypatch.setattr("oriel.graph.trace_cache.cached_trace", trace)


class TestFullDisks:
    """The bundled model's 12 MB where there is no room for them; the trace goes on meanwhile."""

    @pytest.fixture
    def small_disk(self, tmp_path: Path) -> Iterator[Path]:
        disk = tmp_path / "disk"
        disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
        try:
            done = subprocess.run(mount, capture_output=True, check=False, timeout=10)
        except OSError:
            pytest.skip("no mount here")
        if done.returncode != 0:
            pytest.skip("mounting takes rights that this user lacks")
        yield disk
        subprocess.run(["umount", str(disk)], check=True, timeout=10)

    @pytest.mark.usefixtures("slow_trace")
    def test_no_space_left(
        self, small_disk: Path, tiny_gpt2_bundle: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        bundle = Path(shutil.copytree(tiny_gpt2_bundle, small_disk / "tiny"))
        before = snapshot(small_disk)
        assert export(bundle) == 2
        line = error_line(capsys)
        assert line.startswith(f"error: no space left for {bundle}; got No space left on device. ")
        assert line.endswith("nothing was changed.")
        assert snapshot(small_disk) == before
        assert export(small_disk / "new" / "place") == 2
        assert "no space left" in error_line(capsys)
        assert snapshot(small_disk) == before

    @pytest.mark.usefixtures("slow_trace")
    def test_the_disk_itself_can_not_be_replaced(
        self, small_disk: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert export(small_disk) == 2
        line = error_line(capsys)
        assert f"{small_disk} can't be replaced whole; got the root of a file system" in line
        assert str(small_disk / "model" / "model.onnx") in line

    @pytest.mark.usefixtures("slow_trace")
    def test_too_large_a_file(
        self, tiny_gpt2_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        bundle = Path(shutil.copytree(tiny_gpt2_bundle, tmp_path / "tiny"))
        before = snapshot(tmp_path)
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        # Python itself ignores the signal that comes with it; a write then fails.
        assert signal.getsignal(signal.SIGXFSZ) == signal.SIG_IGN
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, limits[1]))
        try:
            assert export(bundle) == 2
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert f"error: a file is too large for {bundle}; got File too large" in error_line(capsys)
        assert snapshot(tmp_path) == before


class TestBrokenOff:
    """Something fails in the middle of the one export that does the most at the same time."""

    @pytest.fixture
    def bundle(self, tiny_gpt2_bundle: Path, tmp_path: Path) -> Path:
        return Path(shutil.copytree(tiny_gpt2_bundle, tmp_path / "tiny"))

    def test_a_crash_in_the_tracing_stops_the_writing(
        self,
        bundle: Path,
        tiny_gpt2_checkpoint: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        began = threading.Event()
        ended: list[float] = []

        def write(_checkpoint: Any, _layout: Any, file: Path, on_bytes: Any) -> None:
            try:
                with file.open("wb") as out:
                    for _ in range(6000):
                        out.write(b"0")
                        began.set()
                        on_bytes(1)
                        time.sleep(0.01)
            finally:
                ended.append(time.monotonic())

        failure: list[type[BaseException]] = []

        def trace(*_: Any) -> None:
            assert began.wait(30)
            raise failure[0]("in the middle")

        monkeypatch.setattr("oriel.export_bundle.write_weights", write)
        monkeypatch.setattr("oriel.graph.trace_cache.cached_trace", trace)
        before = snapshot(bundle.parent)
        for kind in (RuntimeError, KeyboardInterrupt):
            failure[:] = [kind]
            start = time.monotonic()
            if kind is RuntimeError:
                # A defect of ours keeps its traceback.
                with pytest.raises(RuntimeError, match="in the middle"):
                    export(bundle, model=str(tiny_gpt2_checkpoint))
            else:
                assert export(bundle, model=str(tiny_gpt2_checkpoint)) == 130
            assert ended.pop() - start < 30
            assert snapshot(bundle.parent) == before
        assert error_line(capsys) == "stopped: no file was left half-written"

    @pytest.mark.usefixtures("slow_trace")
    def test_bad_weights_are_told_at_once(
        self,
        bundle: Path,
        tiny_gpt2_checkpoint: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setattr("torch.isfinite", lambda values: values != values)
        before = snapshot(bundle.parent)
        assert export(bundle, model=str(tiny_gpt2_checkpoint)) == 2
        assert "can't be computed with; got" in error_line(capsys)
        assert snapshot(bundle.parent) == before

    @pytest.mark.usefixtures("slow_trace")
    def test_a_file_that_comes_meanwhile_is_not_lost(
        self,
        bundle: Path,
        tiny_gpt2_checkpoint: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        def fill_late(folder: Path, *_: Any) -> dict[str, Any]:
            fill(folder)
            (bundle / "thesis.txt").write_text("mine")
            return {}

        monkeypatch.setattr("oriel.export_bundle._fill", fill_late)
        assert export(bundle, model=str(tiny_gpt2_checkpoint)) == 2
        assert "got thesis.txt" in error_line(capsys)
        assert (bundle / "thesis.txt").read_text() == "mine"
        assert (bundle / "model.onnx").exists()


def heed_signals() -> None:
    """Take back what a shell does for work in the background: children inherit ignored signals."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class TestSignals:
    """The real command, stopped while it traces and writes."""

    @pytest.fixture
    def bundle(self, tiny_gpt2_bundle: Path, tmp_path: Path) -> Path:
        return Path(shutil.copytree(tiny_gpt2_bundle, tmp_path / "models" / "tiny"))

    def stopped_by(self, sent: signal.Signals, bundle: Path) -> tuple[int, str]:
        entry = Path(oriel.__file__).parents[1] / "export.py"
        command = [sys.executable, str(entry), "--model", "demo", "--output"]
        process = subprocess.Popen(
            [*command, str(bundle / "model.onnx")],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=heed_signals,
        )
        assert process.stderr is not None
        watch = threading.Timer(120, process.kill)
        watch.start()
        try:
            said = []
            for line in process.stderr:
                said.append(line)
                if re.search(r"\] trace ", line):
                    # The weights are written meanwhile; an empty folder would be left alone.
                    while not list(bundle.parent.glob(".*/*")) and process.poll() is None:
                        time.sleep(0.01)
                    process.send_signal(sent)
                    break
            out, err = process.communicate()
        finally:
            watch.cancel()
            process.kill()
        assert out == ""
        return process.returncode, "".join(said) + err

    @pytest.mark.parametrize(("sent", "code"), [("SIGINT", 130), ("SIGTERM", 143), ("SIGHUP", 129)])
    def test_what_asks_it_to_end_leaves_nothing(self, sent: str, code: int, bundle: Path) -> None:
        before = snapshot(bundle.parent)
        ended, err = self.stopped_by(signal.Signals[sent], bundle)
        assert ended == code, err
        lines = [line for line in err.splitlines() if not line.startswith("[")]
        assert lines == ["stopped: no file was left half-written"], err
        assert snapshot(bundle.parent) == before

    def test_a_kill_leaves_the_old_bundle_and_the_next_run_cleans_up(self, bundle: Path) -> None:
        before = snapshot(bundle)
        code, _ = self.stopped_by(signal.SIGKILL, bundle)
        assert code == -signal.SIGKILL
        assert snapshot(bundle) == before
        left = [p.name for p in bundle.parent.iterdir() if p != bundle]
        assert [is_staged_name(name) for name in left] == [True]
        with pytest.raises(KeyboardInterrupt):
            fill_and_fail(bundle, KeyboardInterrupt())
        assert [p.name for p in bundle.parent.iterdir()] == [bundle.name]

    def test_a_signal_that_is_ignored_stays_so(self) -> None:
        """As under nohup; and after a command the handlers are as they were."""
        code = (
            "import os, signal\n"
            "from oriel.commands.run_command import run_command\n"
            "signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
            "def command():\n"
            "    os.kill(os.getpid(), signal.SIGHUP)\n"
            "    return 7\n"
            "assert run_command(command) == 7\n"
            "assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL\n"
            "def command():\n"
            "    try:\n"
            "        os.kill(os.getpid(), signal.SIGTERM)\n"
            "    finally:\n"
            "        os.kill(os.getpid(), signal.SIGTERM)\n"
            "        print('cleaned up')\n"
            "    return 0\n"
            "assert run_command(command) == 143\n"
        )
        result = subprocess.run(
            [sys.executable, "-c", code],
            cwd=Path(oriel.__file__).parents[1],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (result.returncode, result.stdout) == (0, "cleaned up\n"), result.stderr
        assert result.stderr == "stopped: no file was left half-written\n"
