"""Names of models: letters of any script stay, and no model takes another one's place unasked."""

from __future__ import annotations

import json
import shutil
import unicodedata
import urllib.parse
from pathlib import Path

import pytest
from checkpoint_files import Tensors, checked_line, copy_checkpoint
from command_lines import export_main
from hypothesis import given
from hypothesis import strategies as st

from oriel import export_bundle
from oriel.bundle.compare_bundle import check_same_source
from oriel.errors import BundleError
from oriel.models.find_checkpoint import FoundCheckpoint, find_checkpoint
from oriel.models.load_model import load_model
from oriel.models.model_names import MAX_BYTES, MAX_CHARACTERS, safe_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("gpt2", "gpt2"),
        ("春天模型", "春天模型"),
        ("модель-7", "модель-7"),
        ("हिन्दी", "हिन्दी"),
        ("ภาษาไทย", "ภาษาไทย"),
        ("Mein Modell (neu) é", "Mein-Modell-neu-é"),
        ("e\u0301t\u00e9", "été"),
        ("my model 🚀", "my-model"),
        ("a/b\\c:d*e?f", "a-b-c-d-e-f"),
        ("100% #1 & more", "100-1-more"),
        ("..", "model"),
        ("", "model"),
        ("🚀🚀", "model"),
        (".x", "x"),
        ("\u0301x", "x"),
        ("_x", "_x"),
        ("a\u202eb\u200bc\u3164d", "a-b-c-d"),
        ("CON", "model-CON"),
        ("nul.txt", "model-nul.txt"),
        ("com1", "model-com1"),
        ("console", "console"),
        ("a" * 300, "a" * 96),
        ("模" * 300, "模" * 40),
    ],
)
def test_names(text: str, name: str) -> None:
    assert safe_name(text) == name


@given(st.text(max_size=200))
def test_every_name_stands_in_file_names_and_urls(text: str) -> None:
    name = safe_name(text)
    assert 1 <= len(name) <= MAX_CHARACTERS + len("model-")
    assert len(name.encode()) <= MAX_BYTES + len("model-")
    assert name[0] not in "-." and name[-1] not in "-."
    assert name.isprintable()
    assert not set(name) & set(' /\\:*?"<>|#%&')
    assert unicodedata.normalize("NFC", name) == name
    assert safe_name(name) == name
    address = urllib.parse.urljoin("https://host.example/models/index.json", f"./{name}/x")
    assert urllib.parse.urlsplit(address).path == f"/models/{name}/x"


@pytest.mark.parametrize(
    ("place", "name", "source"),
    [
        ("my-model", "my-model", "my-model"),
        ("模型一", "模型一", "模型一"),
        ("run-7/checkpoint-500", "run-7-checkpoint-500", "run-7/checkpoint-500"),
        ("run-8/checkpoint-500", "run-8-checkpoint-500", "run-8/checkpoint-500"),
        ("poems/output/checkpoint-1000", None, "poems/output/checkpoint-1000"),
        ("poems/final_model", "poems-final_model", "poems/final_model"),
        ("poems/epoch_3", "poems-epoch_3", "poems/epoch_3"),
        ("诗歌/best", "诗歌-best", "诗歌/best"),
        ("models/bestiary", "bestiary", "bestiary"),
        (
            "hub/models--acme--tiny-gpt2/snapshots/" + "ab12" * 10,
            "tiny-gpt2",
            "acme/tiny-gpt2",
        ),
        ("hub/models--tiny--gpt2--chat/snapshots/ab", "gpt2--chat", "tiny/gpt2--chat"),
    ],
)
def test_a_folder_is_named_by_what_tells_it_apart(
    place: str,
    name: str | None,
    source: str,
    tiny_gpt2_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / place)
    for _ in range(2):
        found = find_checkpoint(str(folder))
        assert (found.name, found.id) == (name or source.replace("/", "-"), source)
        assert found.kind == "folder"
        monkeypatch.chdir(folder)
        folder = Path()


def test_a_home_folder_is_nobody_s_business(
    tiny_gpt2_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "alice"))
    folder = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "alice" / "checkpoint-500")
    assert find_checkpoint(str(folder)).id == "checkpoint-500"


class TestReplacing:
    """In the default place, which a name alone decides."""

    @pytest.fixture
    def models(
        self, tiny_gpt2_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Path:
        """Where bundles go by default; tiny-gpt2 is there."""
        models = tmp_path / "models"
        shutil.copytree(tiny_gpt2_bundle, models / "tiny-gpt2")
        monkeypatch.setattr(
            export_bundle, "default_output", lambda name: models / name / "model.onnx"
        )
        return models

    def other(self, original: Path, folder: Path) -> Path:
        def change(tensors: Tensors) -> None:
            tensors["transformer.wpe.weight"][0, 0] += 1

        return copy_checkpoint(original, folder, change=change)

    def test_other_weights_of_the_same_name_are_refused(
        self,
        models: Path,
        tiny_gpt2_checkpoint: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        before = (models / "tiny-gpt2" / "manifest.json").read_bytes()
        other = self.other(tiny_gpt2_checkpoint, tmp_path / "elsewhere" / "tiny-gpt2")
        assert export_main(["--model", str(other)]) == 2
        out, err = capsys.readouterr()
        line = err.splitlines()[-1]
        # The length of this machine's temporary folder is not the message's.
        checked_line(line.replace(str(tmp_path), ""))
        assert line.startswith(f"error: {models / 'tiny-gpt2'} holds the bundle of another model")
        assert "got the folder tiny-gpt2 there, and one that is also called tiny-gpt2" in line
        assert str(other) in line
        assert f"--output {models / 'tiny-gpt2-2' / 'model.onnx'}" in line
        assert "--force" in line
        assert out == ""
        assert (models / "tiny-gpt2" / "manifest.json").read_bytes() == before
        assert [p.name for p in models.iterdir()] == ["tiny-gpt2"]

    def test_force_replaces_it_and_output_keeps_both(
        self, models: Path, tiny_gpt2_checkpoint: Path, tmp_path: Path
    ) -> None:
        other = self.other(tiny_gpt2_checkpoint, tmp_path / "elsewhere" / "tiny-gpt2")
        old = json.loads((models / "tiny-gpt2" / "manifest.json").read_text("utf-8"))
        graph = models / "tiny-gpt2" / "model.onnx"
        assert export_main(["--model", str(other), "--output", str(graph)]) == 0, "named outright"
        new = json.loads((models / "tiny-gpt2" / "manifest.json").read_text("utf-8"))
        assert old["model"]["weights_digest"] != new["model"]["weights_digest"]
        assert export_main(["--model", str(tiny_gpt2_checkpoint), "--force"]) == 0
        again = json.loads((models / "tiny-gpt2" / "manifest.json").read_text("utf-8"))
        assert again["model"]["weights_digest"] == old["model"]["weights_digest"]

    @pytest.mark.parametrize(
        ("kind", "source", "said"),
        [
            ("hub", "acme/tiny-gpt2", "the folder tiny-gpt2 there, and the Hub's acme/tiny-gpt2"),
            ("bundled", "tiny-gpt2", "and the bundled model tiny-gpt2 here"),
            ("folder", "Tiny-GPT2", "and the folder Tiny-GPT2 here"),
        ],
    )
    def test_both_sources_are_named(
        self, kind: str, source: str, said: str, models: Path, tiny_gpt2_checkpoint: Path
    ) -> None:
        """The last is what a disk that ignores case finds in the place."""
        old = json.loads((models / "tiny-gpt2" / "manifest.json").read_text("utf-8"))
        found = FoundCheckpoint(tiny_gpt2_checkpoint, "tiny-gpt2", kind, source)  # type: ignore[arg-type]
        with pytest.raises(BundleError) as caught:
            check_same_source(old, models / "tiny-gpt2", load_model(found))
        assert said in checked_line(str(caught.value))

    def test_the_same_model_is_no_other(self, models: Path, tiny_gpt2_checkpoint: Path) -> None:
        """With other outputs, say, or another revision of a Hub's model."""
        old = json.loads((models / "tiny-gpt2" / "manifest.json").read_text("utf-8"))
        model = load_model(find_checkpoint(str(tiny_gpt2_checkpoint)))
        check_same_source(old, models / "tiny-gpt2", model)
        found = FoundCheckpoint(tiny_gpt2_checkpoint, "tiny-gpt2", "hub", "acme/tiny", "1" * 40)
        old["model"]["source"] = {"kind": "hub", "id": "acme/tiny", "revision": "2" * 40}
        old["model"]["weights_digest"] = "sha256:" + "0" * 64
        check_same_source(old, models / "tiny-gpt2", load_model(found))
