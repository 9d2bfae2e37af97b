"""Publishing to a Hub on loopback, through huggingface_hub itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants
from publish_bundles import files_of, make_bundle, read_model, weights_of
from publish_hub import REPOSITORY, WritableHub, serving_writable

from oriel.errors import PublishError
from oriel.progress import Silent
from oriel.publishing import to_hub
from oriel.publishing.open_place import open_place
from oriel.publishing.place import Place
from oriel.publishing.prune import prune
from oriel.publishing.publish import Published, publish
from oriel.publishing.published_names import CHUNKS, is_manifest_name

ADDRESS = f"hf://{REPOSITORY}/small"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[WritableHub]:
    # Its newer protocol for large files is one of compiled code and of other servers.
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setenv("HF_TOKEN", "good")
    with serving_writable(WritableHub(token="good")) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.endpoint)
        yield served


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "bundle", weights_of())


def send(bundle: Path, place: Place, version: str = "1.0.0") -> Published:
    return publish(bundle, place, version, Silent(), 100_000)


def model_at(files: dict[str, bytes], manifest: str = "manifest.json") -> dict[str, bytes]:
    return read_model(lambda name: files[f"small/{name}"], manifest)


def test_a_repository_holds_whole_models_in_every_commit(
    bundle: Path, tmp_path: Path, hub: WritableHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(to_hub, "FILES_OF_A_COMMIT", 5)
    place = open_place(ADDRESS)
    hub.add("a README", {"README.md": b"hello"})
    send(bundle, place)
    assert model_at(hub.files) == files_of(bundle)
    assert hub.files["README.md"] == b"hello"
    assert len(hub.commits) > 4
    for commit in hub.commits:
        for name in map(str, commit.files):
            if is_manifest_name(name.removeprefix("small/")):
                assert model_at(commit.files, name.removeprefix("small/")) == files_of(bundle)
    count = len(hub.commits)
    assert send(bundle, open_place(ADDRESS)).sent == []
    assert len(hub.commits) == count
    uploads = len(hub.uploads)
    tensors = weights_of()
    tensors["c_attn"] = tensors["c_attn"][:-1] + b"!"
    second = make_bundle(tmp_path / "second", tensors)
    send(second, open_place(ADDRESS), "1.1.0")
    assert len(hub.uploads) == uploads + 1
    assert model_at(hub.files) == files_of(second)
    assert model_at(hub.files, "manifest-1.0.0.json") == files_of(bundle)
    with pytest.raises(PublishError, match=r"version 1\.0\.0 already"):
        send(second, open_place(ADDRESS))


def test_an_interrupted_upload_to_the_hub_is_taken_up(bundle: Path, hub: WritableHub) -> None:
    place = open_place(ADDRESS)
    # As if it had been killed before its first commit: the Hub keeps what was uploaded.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(place, "_commit", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            send(bundle, place)
    uploads = list(hub.uploads)
    assert uploads
    assert not any(name.startswith("small/") for name in hub.files)
    send(bundle, open_place(ADDRESS))
    assert len(set(hub.uploads)) == len(hub.uploads), "the same bytes were sent twice"
    assert model_at(hub.files) == files_of(bundle)


def test_pruning_the_hub(bundle: Path, tmp_path: Path, hub: WritableHub) -> None:
    send(bundle, open_place(ADDRESS))
    second = make_bundle(tmp_path / "second", weights_of(1))
    send(second, open_place(ADDRESS), "2")
    assert prune(open_place(ADDRESS), True).names == ()
    hub.add("an old version goes", {"small/manifest-1.0.0.json": None})
    found = prune(open_place(ADDRESS), False)
    assert found.names
    # Someone publishes while it is at work: then nothing is removed.
    hub.before_commit = lambda: hub.add_quietly({"notes": b""})
    with pytest.raises(PublishError, match="a change by another meanwhile"):
        prune(open_place(ADDRESS), True)
    assert prune(open_place(ADDRESS), True).names == found.names
    assert model_at(hub.files) == files_of(second)
    chunks = [name for name in hub.files if name.startswith(f"small/{CHUNKS}/")]
    assert prune(open_place(ADDRESS), True).names == ()
    assert len(chunks) < len(hub.large) + 4


def test_a_manifest_waits_for_what_others_commit(bundle: Path, hub: WritableHub) -> None:
    hub.before_commit = lambda: hub.add_quietly({"notes": b""})
    send(bundle, open_place(ADDRESS))
    assert model_at(hub.files) == files_of(bundle)


def test_a_manifest_is_not_committed_where_its_chunks_were_removed(
    bundle: Path, hub: WritableHub
) -> None:
    def remove() -> None:
        chunk = next(name for name in hub.files if name.startswith(f"small/{CHUNKS}/"))
        hub.add("prune", {chunk: None})

    hub.before_commit = remove
    with pytest.raises(PublishError, match="changed by another"):
        send(bundle, open_place(ADDRESS))
    assert not any("manifest" in name for name in hub.files)
    send(bundle, open_place(ADDRESS))
    assert model_at(hub.files) == files_of(bundle)


def test_what_keeps_the_hub_away_is_told_in_a_line(
    bundle: Path, hub: WritableHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    for address, said in (
        ("hf://lab/nothing", "no such repository"),
        ("hf://lab/no such name", "no such repository"),
    ):
        with pytest.raises(PublishError, match=said):
            send(bundle, open_place(address))
    hub.token = "another"
    with pytest.raises(PublishError, match="no permission") as caught:
        send(bundle, open_place(ADDRESS))
    assert "\n" not in str(caught.value)
    assert len(hub.commits) == 1
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(PublishError, match="no connection"):
        send(bundle, open_place(ADDRESS))
