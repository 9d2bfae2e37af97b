"""The folder that `oriel publish --layout transformers.js` writes, as far as ONNX Runtime alone can
tell. test_libraries.py opens it with the libraries themselves."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx.external_data_helper import uses_external_data
from transformers import AutoConfig, GenerationConfig

from oriel.cli import main
from oriel.contract.manifest import read_manifest

VARIANTS = {"fp32": "", "fp16": "_fp16", "int8": "_quantized", "int4": "_q4"}


def publish(bundle: Path, folder: Path, *flags: str) -> int:
    layout = ["--layout", "transformers.js", "--to", str(folder)]
    return main(["publish", str(bundle), *layout, *flags])


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def laid(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """A bundle in all precisions, and the folder that is made of it."""
    bundle: Path = request.getfixturevalue(f"quantized_{request.param}_bundle")
    folder = tmp_path_factory.mktemp("layouts") / request.param
    assert publish(bundle, folder) == 0
    return bundle, folder


def _run(graph: Path) -> Any:
    """Return logits of two texts, the second padded on the left."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(graph), options)
    feeds: dict[str, Any] = {
        "input_ids": np.array([[5, 17, 33], [0, 44, 7]]),
        "attention_mask": np.array([[1, 1, 1], [0, 1, 1]]),
        "position_ids": np.array([[0, 1, 2], [1, 0, 1]]),
    }
    for port in session.get_inputs():
        if port.name.startswith("past_key_values."):
            feeds[port.name] = np.zeros((2, port.shape[1], 0, port.shape[3]), np.float32)
    (logits,) = session.run(["logits"], feeds)
    return logits


def test_every_graph_opens_by_its_name_alone(laid: tuple[Path, Path]) -> None:
    """Nobody tells a library where the weights lie: the graph does, by a name without a folder."""
    bundle, folder = laid
    names = [f"model{suffix}.onnx" for suffix in VARIANTS.values()]
    there = sorted(file.name for file in (folder / "onnx").iterdir())
    assert there == sorted([*names, *(f"{name}_data" for name in names)])
    for variant, name in zip(VARIANTS, names, strict=True):
        graph = onnx.load(folder / "onnx" / name, load_external_data=False).graph
        stored = [tensor for tensor in graph.initializer if uses_external_data(tensor)]
        places = {e.value for t in stored for e in t.external_data if e.key == "location"}
        assert places == {f"{name}_data"}
        # onnx itself refuses hard links here.
        assert len(onnx.load(folder / "onnx" / name).graph.initializer) == len(graph.initializer)
        record: Any = read_manifest(bundle).variant(variant)
        own = _run(bundle / record["decoder"]["path"])
        np.testing.assert_array_equal(_run(folder / "onnx" / name), own)


def test_configs_say_what_the_libraries_ask_for(laid: tuple[Path, Path]) -> None:
    bundle, folder = laid
    config = json.loads(folder.joinpath("config.json").read_text())
    assert config.pop("transformers.js_config") == {"use_external_data_format": True}
    assert config == json.loads(bundle.joinpath("config.json").read_text())
    assert AutoConfig.from_pretrained(folder).model_type == config["model_type"]
    assert GenerationConfig.from_pretrained(folder).eos_token_id == 0
    genai = json.loads(folder.joinpath("genai_config.json").read_text())
    shape = read_manifest(bundle).data["model"]["shape"]
    assert genai["model"]["decoder"]["num_key_value_heads"] == shape["kv_heads"]
    assert genai["model"]["decoder"]["head_size"] == shape["head_dim"]
    assert folder.joinpath(genai["model"]["decoder"]["filename"]).is_file()
    assert genai["model"]["eos_token_id"] == [0]
    assert genai["search"]["max_length"] == shape["context_length"]


def test_a_bundle_without_int8_does_not_send_browsers_to_it(
    tiny_gpt2_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """transformers.js loads q8 in a browser where nobody asks for another."""
    assert publish(tiny_gpt2_bundle, tmp_path / "made", "--json") == 0
    said = json.loads(capsys.readouterr().out)
    files = sorted(p.relative_to(tmp_path / "made").as_posix() for p in tmp_path.rglob("made/**/*"))
    assert said["files"] == [path for path in files if path != "onnx"]
    assert said["variants"] == ["fp32"]
    config = json.loads(tmp_path.joinpath("made", "config.json").read_text())
    assert config["transformers.js_config"]["dtype"] == "fp32"


def test_it_replaces_its_own_folder_and_no_other(
    tiny_gpt2_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = tmp_path / "made"
    assert publish(tiny_gpt2_bundle, made) == 0
    made.joinpath("onnx", "model_q4.onnx").write_text("of an earlier bundle")
    assert publish(tiny_gpt2_bundle, made) == 0
    assert not made.joinpath("onnx", "model_q4.onnx").exists()
    for foreign in ("README.md", "onnx/notes.txt"):
        made.joinpath(foreign).write_text("mine")
        capsys.readouterr()
        assert publish(tiny_gpt2_bundle, made) == 2
        assert foreign in capsys.readouterr().err
        assert made.joinpath(foreign).read_text() == "mine"
        made.joinpath(foreign).unlink()


def _without_configs(bundle: Path) -> None:
    file = bundle / "manifest.json"
    data = json.loads(file.read_text())
    data["files"] = [f for f in data["files"] if f["path"] != "config.json"]
    file.write_text(json.dumps(data))


def _damaged(name: str) -> Callable[[Path], None]:
    def damage(bundle: Path) -> None:
        data = bytearray(bundle.joinpath(name).read_bytes())
        data[len(data) // 2] ^= 1
        bundle.joinpath(name).write_bytes(data)

    return damage


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (_without_configs, "no config.json"),
        (_damaged("config.json"), "config.json is not what the manifest says"),
        (_damaged("model.onnx"), "model.onnx is not what the manifest says"),
        (_damaged("model.onnx.data"), "model.onnx.data is not what the manifest says"),
    ],
)
def test_what_is_not_whole_is_refused(
    change: Callable[[Path], None],
    told: str,
    tiny_gpt2_bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bundle = Path(shutil.copytree(tiny_gpt2_bundle, tmp_path / "bundle"))
    change(bundle)
    assert publish(bundle, tmp_path / "made") == 2
    err = capsys.readouterr().err
    assert told in err and "Traceback" not in err
    assert not tmp_path.joinpath("made").exists()


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--version", "1.0.0"], "--version"),
        (["--prune", "--yes"], "--prune, --yes"),
        (["--no-first-pass"], "--no-first-pass"),
        (["--chunk-bytes", "8192"], "--chunk-bytes"),
        (["--to", "hf://org/name"], "writes a folder"),
        (["--to", "s3://bucket/place"], "writes a folder"),
    ],
)
def test_flags_of_the_other_layout_are_refused(
    flags: list[str],
    told: str,
    tiny_gpt2_bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert publish(tiny_gpt2_bundle, tmp_path / "made", *flags) == 2
    assert told in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
