"""Which checkpoint a --model stands for, with a Hub on loopback that answers, fails or is
silent."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import (
    RunsCode,
    Tensors,
    checked_line,
    copy_checkpoint,
    save_as_zip_pickle,
    save_in_shards,
)
from fake_hub import COMMIT, FakeHub, serving
from huggingface_hub import constants

import oriel
from oriel.cli import main
from oriel.errors import CheckpointError, HubError, OptionError
from oriel.models import find_checkpoint as finding
from oriel.models import hub as asking
from oriel.models.find_checkpoint import FoundCheckpoint, find_checkpoint
from oriel.models.load_model import load_model

REPOSITORY = "someone/tiny"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of the test's own, no local gpt2, and nothing reachable but loopback."""
    cache = tmp_path / "cache"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    point_at("http://127.0.0.1:9", monkeypatch)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(finding, "local_gpt2_folder", lambda: tmp_path / "no-such-folder")
    return cache


@pytest.fixture
def hub(
    tiny_gpt2_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FakeHub]:
    folder = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "served")
    (folder / "README.md").write_text("not wanted")
    (folder / "tf_model.h5").write_text("not wanted")
    with serving(FakeHub({REPOSITORY: folder, "gpt2": folder})) as served:
        point_at(served.endpoint, monkeypatch)
        yield served


def point_at(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What HF_ENDPOINT does when huggingface_hub is imported."""
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


def unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Hub is gone: its port is closed."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    point_at(f"http://127.0.0.1:{port}", monkeypatch)


class Lines:
    """A display that remembers."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.expected = self.moved = 0

    def stage(self, text: str) -> None:
        self.stages.append(text)

    def expect_bytes(self, total: int, what: str = "") -> None:
        self.expected += total

    def add_bytes(self, count: int) -> None:
        self.moved += count


class TestTheDoctor:
    """oriel doctor downloads no weights of a model of the Hub: it reads their headers."""

    @pytest.mark.parametrize("save", [None, save_in_shards])
    def test_headers_alone_are_read(
        self,
        save: Any,
        hub: FakeHub,
        tiny_gpt2_checkpoint: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        served = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "other", save=save)
        hub.repositories[REPOSITORY] = served
        assert main(["doctor", REPOSITORY]) == 0
        said = capsys.readouterr().out
        files = "1 file" if save is None else "2 files"
        assert f"52 tensors in {files}" in said
        found = find_checkpoint(REPOSITORY, with_weights=False)
        assert not list(found.folder.glob("*.safetensors"))
        # With the weights, it says the same.
        assert main(["doctor", str(served)]) == 0
        assert f"52 tensors in {files}" in capsys.readouterr().out

    def test_what_is_missing_is_told(
        self,
        hub: FakeHub,
        tiny_gpt2_checkpoint: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        def change(tensors: Tensors) -> None:
            del tensors["transformer.h.2.ln_1.bias"]

        hub.repositories[REPOSITORY] = copy_checkpoint(
            tiny_gpt2_checkpoint, tmp_path / "other", change=change
        )
        assert main(["doctor", REPOSITORY]) == 1
        assert "got no transformer.h.2.ln_1.bias" in capsys.readouterr().out

    def test_pickles_are_downloaded(
        self,
        hub: FakeHub,
        tiny_gpt2_checkpoint: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        hub.repositories[REPOSITORY] = copy_checkpoint(
            tiny_gpt2_checkpoint, tmp_path / "other", save=save_as_zip_pickle
        )
        assert main(["doctor", REPOSITORY]) == 0
        assert "52 tensors in 1 file" in capsys.readouterr().out

    def test_damaged_headers_are_told(
        self, hub: FakeHub, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (hub.repositories[REPOSITORY] / "model.safetensors").write_bytes(b"\xff" * 64)
        assert main(["doctor", REPOSITORY]) == 1
        assert f"the headers of {REPOSITORY}'s weights can't be read" in capsys.readouterr().out


class TestTheHub:
    @pytest.mark.parametrize("revision", [None, "v1", COMMIT])
    def test_a_model_is_downloaded_and_named_by_its_commit(
        self, revision: str | None, hub: FakeHub
    ) -> None:
        lines = Lines()
        found = find_checkpoint(REPOSITORY, revision, lines)
        assert (found.kind, found.id, found.name) == ("hub", REPOSITORY, "tiny")
        assert found.revision == COMMIT
        assert found.note is None
        assert load_model(found).shape.layers == 4
        assert sorted(f.name for f in found.folder.iterdir()) == [
            "config.json",
            "model.safetensors",
        ]
        assert lines.stages == [
            f"download config.json of {REPOSITORY}",
            f"download model.safetensors of {REPOSITORY}",
        ]
        served = hub.repositories[REPOSITORY]
        sizes = [(served / n).stat().st_size for n in ("config.json", "model.safetensors")]
        assert lines.moved == lines.expected == sum(sizes)

    def test_what_is_in_the_cache_is_not_downloaded_again(self, hub: FakeHub) -> None:
        find_checkpoint(REPOSITORY)
        hub.requests.clear()
        lines = Lines()
        find_checkpoint(REPOSITORY, None, lines)
        assert not [r for r in hub.requests if "/resolve/" in r]
        assert lines.stages == []

    @pytest.mark.parametrize("revision", [None, "v1", COMMIT])
    def test_out_of_reach_the_cache_is_used(
        self, revision: str | None, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        online = find_checkpoint(REPOSITORY, revision)
        unreachable(monkeypatch)
        assert find_checkpoint(REPOSITORY, revision) == online

    def test_a_server_in_trouble_counts_as_out_of_reach(self, hub: FakeHub) -> None:
        hub.status = 503
        with pytest.raises(HubError, match=r"can't be reached; got HTTP 503; expected"):
            find_checkpoint(REPOSITORY)
        hub.status = None
        online = find_checkpoint(REPOSITORY)
        hub.status = 503
        assert find_checkpoint(REPOSITORY) == online

    def test_offline_mode_is_kept(self, hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
        online = find_checkpoint(REPOSITORY)
        hub.requests.clear()
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        assert find_checkpoint(REPOSITORY) == online
        with pytest.raises(HubError, match="got offline mode"):
            find_checkpoint("gpt2")
        assert hub.requests == []

    def test_a_pickle_is_taken_only_without_safetensors(
        self, hub: FakeHub, tiny_gpt2_checkpoint: Path, tmp_path: Path
    ) -> None:
        served = hub.repositories[REPOSITORY]
        (served / "pytorch_model.bin").write_bytes(b"larger and slower")
        assert not (find_checkpoint(REPOSITORY).folder / "pytorch_model.bin").exists()
        hub.repositories["someone/old"] = copy_checkpoint(
            tiny_gpt2_checkpoint, tmp_path / "old", save=save_as_zip_pickle
        )
        found = find_checkpoint("someone/old")
        assert (found.folder / "pytorch_model.bin").is_file()
        load_model(found)

    def test_a_pickle_from_the_hub_never_runs(
        self, hub: FakeHub, tiny_gpt2_checkpoint: Path, tmp_path: Path
    ) -> None:
        trace = tmp_path / "it-ran"

        def save(tensors: Tensors, folder: Path) -> None:
            torch.save({**tensors, "more": RunsCode(trace)}, folder / "pytorch_model.bin")

        hub.repositories["someone/evil"] = copy_checkpoint(
            tiny_gpt2_checkpoint, tmp_path / "evil", save=save
        )
        with pytest.raises(CheckpointError, match="holds more than tensors"):
            load_model(find_checkpoint("someone/evil"))
        assert not trace.exists()

    def test_shards_come_with_their_index(
        self, hub: FakeHub, tiny_gpt2_checkpoint: Path, tmp_path: Path
    ) -> None:
        hub.repositories["someone/large"] = copy_checkpoint(
            tiny_gpt2_checkpoint, tmp_path / "large", save=save_in_shards
        )
        load_model(find_checkpoint("someone/large"))

    def test_a_repository_without_a_checkpoint_is_told(self, hub: FakeHub, tmp_path: Path) -> None:
        folder = tmp_path / "dataset"
        folder.mkdir()
        (folder / "data.csv").touch()
        hub.repositories["someone/dataset"] = folder
        with pytest.raises(HubError, match=r"isn't a checkpoint that can be read; got data\.csv"):
            find_checkpoint("someone/dataset")

    def test_unknown_gated_and_other_revisions_are_told(self, hub: FakeHub) -> None:
        with pytest.raises(HubError, match="neither a folder here nor the Hub has someone/none"):
            find_checkpoint("someone/none")
        with pytest.raises(HubError, match="someone/tiny has no such revision; got v9"):
            find_checkpoint(REPOSITORY, "v9")
        hub.gated.add(REPOSITORY)
        with pytest.raises(HubError, match="the Hub gives someone/tiny only to those it let in"):
            find_checkpoint(REPOSITORY)

    def test_a_download_that_breaks_is_told_and_can_go_on(
        self, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(time, "sleep", lambda _: None)
        hub.breaks.add("model.safetensors")
        with pytest.raises(HubError) as caught:
            find_checkpoint(REPOSITORY)
        line = checked_line(str(caught.value))
        assert line.startswith("the download of someone/tiny broke off; got ")
        # What came so far is no checkpoint, with the Hub or without.
        with pytest.raises(HubError):
            find_checkpoint(REPOSITORY)
        hub.breaks.clear()
        hub.status = None
        load_model(find_checkpoint(REPOSITORY))

    def test_a_full_cache_is_told(self, hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: Any, **__: Any) -> str:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr("huggingface_hub.hf_hub_download", full)
        with pytest.raises(HubError, match=r"no space left for someone/tiny in the Hub's cache"):
            find_checkpoint(REPOSITORY)


class TestSilence:
    """A server that takes the connection and never answers."""

    @pytest.fixture
    def silent(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            listening.listen()
            point_at(f"http://127.0.0.1:{listening.getsockname()[1]}", monkeypatch)
            yield

    def test_it_is_given_up_soon(self, silent: None, monkeypatch: pytest.MonkeyPatch) -> None:
        assert asking.HUB_TIMEOUT_S <= 5
        monkeypatch.setattr(asking, "HUB_TIMEOUT_S", 1.0)
        start = time.monotonic()
        with pytest.raises(HubError, match="got no answer within 1 seconds"):
            find_checkpoint(REPOSITORY)
        # Far above one second, for slow machines; far below what retries would take.
        assert time.monotonic() - start < 15

    def test_a_name_that_can_not_be_looked_up_is_given_up_too(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def never(*_: Any, **__: Any) -> Any:
            time.sleep(30)

        # The lookup itself has no time limit: a resolver that is away takes half a minute.
        monkeypatch.setattr(socket, "getaddrinfo", never)
        point_at("http://hub.invalid", monkeypatch)
        monkeypatch.setattr(asking, "HUB_TIMEOUT_S", 0.5)
        start = time.monotonic()
        with pytest.raises(HubError, match="no answer within"):
            find_checkpoint(REPOSITORY)
        assert time.monotonic() - start < 15

    def test_the_program_ends_although_the_question_hangs(
        self, silent: None, tmp_path: Path
    ) -> None:
        """The whole command: one line, exit code 2, nothing written, no thread that keeps it."""
        result = run_export("--model", "gpt2", "--output", str(tmp_path / "out" / "model.onnx"))
        assert result.returncode == 2, result.stderr
        assert result.stdout == ""
        errors = [line for line in result.stderr.splitlines() if not line.startswith("[")]
        assert len(errors) == 1
        assert checked_line(errors[0]).startswith(
            "error: gpt2 is not in the local cache and the Hub can't be reached; got no answer "
        )
        assert not (tmp_path / "out").exists()


def run_export(*arguments: str) -> subprocess.CompletedProcess[str]:
    entry = Path(oriel.__file__).parents[1] / "export.py"
    environment = {
        **os.environ,
        "HF_ENDPOINT": constants.ENDPOINT,
        "HF_HUB_CACHE": constants.HF_HUB_CACHE,
        "HF_HUB_OFFLINE": "0",
        "NO_PROXY": "127.0.0.1",
    }
    return subprocess.run(
        [sys.executable, str(entry), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


class TestTheDefault:
    def test_it_is_the_local_folder_where_there_is_one(
        self, tiny_gpt2_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(finding, "local_gpt2_folder", lambda: tiny_gpt2_checkpoint)
        found = find_checkpoint(None)
        assert (found.kind, found.folder, found.note) == ("folder", tiny_gpt2_checkpoint, None)

    def test_an_incomplete_local_folder_is_an_error_and_not_passed_over(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "gpt2").mkdir()
        monkeypatch.setattr(finding, "local_gpt2_folder", lambda: tmp_path / "gpt2")
        with pytest.raises(CheckpointError, match=r"no checkpoint in .*; got an empty folder"):
            find_checkpoint(None)

    def test_else_it_is_gpt2_from_the_hub(self, hub: FakeHub) -> None:
        found = find_checkpoint(None)
        assert (found.kind, found.id, found.revision, found.note) == ("hub", "gpt2", COMMIT, None)

    def test_else_from_its_cache(self, hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
        online = find_checkpoint(None)
        unreachable(monkeypatch)
        assert find_checkpoint(None) == online

    def test_else_it_is_the_bundled_model_with_a_note(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        unreachable(monkeypatch)
        found = find_checkpoint(None)
        assert (found.kind, found.id, found.revision) == ("bundled", "demo", None)
        assert found.note is not None
        assert found.note.startswith("This is NOT GPT-2: gpt2 is not in the local cache")
        assert "(no connection)" in found.note
        assert len(found.note) <= 1024

    def test_a_broken_download_leads_there_as_well(
        self, hub: FakeHub, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(time, "sleep", lambda _: None)
        hub.breaks.add("model.safetensors")
        found = find_checkpoint(None)
        assert found.kind == "bundled"
        assert "the download of gpt2 broke off" in str(found.note)

    def test_a_model_asked_for_by_name_never_turns_into_another(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        unreachable(monkeypatch)
        with pytest.raises(HubError, match=r"can't be reached; got no connection; expected a"):
            find_checkpoint("gpt2")

    def test_demo_by_name_has_no_note(self) -> None:
        found = find_checkpoint("demo")
        assert (found.kind, found.note) == ("bundled", None)


class TestNames:
    @pytest.mark.parametrize(
        "model", ["", "./nowhere", "a/b/c", "../x", "~nobody-at-all/x", "a" * 5000, "a b", "né/x"]
    )
    def test_what_is_neither_folder_nor_hub_id_is_told(self, model: str) -> None:
        with pytest.raises(CheckpointError, match="no such checkpoint; got"):
            find_checkpoint(model)

    def test_a_hub_id_that_the_hub_would_refuse_is_told(self) -> None:
        with pytest.raises(CheckpointError, match=r"no such checkpoint; got 'a--b'"):
            find_checkpoint("a--b")

    def test_a_file_is_told(self, tiny_gpt2_checkpoint: Path) -> None:
        with pytest.raises(CheckpointError, match="--model is a file"):
            find_checkpoint(str(tiny_gpt2_checkpoint / "model.safetensors"))

    def test_a_folder_without_a_config_is_told(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match="got an empty folder"):
            find_checkpoint(str(tmp_path))

    def test_a_revision_is_only_for_the_hub(self, tiny_gpt2_checkpoint: Path) -> None:
        for model in (str(tiny_gpt2_checkpoint), "demo"):
            with pytest.raises(OptionError, match="--revision is for models of the Hub"):
                find_checkpoint(model, "main")
        with pytest.raises(OptionError, match="--revision without --model"):
            find_checkpoint(None, "main")

    def test_folders_of_any_name_get_one_that_a_url_can_hold(
        self, tiny_gpt2_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "Mein Modell (neu) é")
        found = find_checkpoint(str(folder))
        assert found == FoundCheckpoint(folder, "Mein-Modell-neu-é", "folder", folder.name)
        monkeypatch.chdir(folder)
        assert find_checkpoint(".").name == "Mein-Modell-neu-é"
