"""config.json and generation_config.json of a bundle: transformers reads from them what it read
from the checkpoint, and no code of the checkpoint's is named in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoConfig, GenerationConfig

from oriel.contract.library_files import CONFIG, GENERATION_CONFIG
from oriel.contract.manifest import read_manifest
from oriel.contract.strict_json import read_json
from oriel.models.library_configs import library_configs
from oriel.models.load_model import load_spec


def _json(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text(encoding="utf-8")))


def _folder(
    checkpoint: Path, folder: Path, config: dict[str, Any], generation: dict[str, Any] | None = None
) -> Path:
    """Make a checkpoint's folder without weights. config: entries beside those of `checkpoint`."""
    folder.mkdir()
    folder.joinpath(CONFIG).write_text(json.dumps({**_json(checkpoint / CONFIG), **config}))
    if generation is not None:
        folder.joinpath(GENERATION_CONFIG).write_text(json.dumps(generation))
    return folder


def _written(folder: Path, into: Path) -> dict[str, dict[str, Any]]:
    """Write both files into a new folder. Return their contents, by name."""
    into.mkdir()
    for name, data in library_configs(folder, load_spec(folder)).items():
        assert isinstance(read_json(data, name), dict)
        into.joinpath(name).write_bytes(data)
    return {name: _json(into / name) for name in (CONFIG, GENERATION_CONFIG)}


@pytest.mark.parametrize("model", ["gpt2", "llama"])
def test_transformers_reads_the_checkpoints_config_from_a_bundle(
    model: str, request: pytest.FixtureRequest
) -> None:
    checkpoint: Path = request.getfixturevalue(f"tiny_{model}_checkpoint")
    bundle: Path = request.getfixturevalue(f"tiny_{model}_bundle")
    theirs, ours = (AutoConfig.from_pretrained(folder).to_dict() for folder in (checkpoint, bundle))
    # The folder that it was read from.
    assert {**ours, "_name_or_path": ""} == {**theirs, "_name_or_path": ""}
    theirs, ours = (
        GenerationConfig.from_pretrained(folder).to_diff_dict() for folder in (checkpoint, bundle)
    )
    for made in (theirs, ours):
        made.pop("_from_model_config", None)
    assert {**theirs, "use_cache": True} == {**ours, "use_cache": True}
    described = {file["path"]: file for file in read_manifest(bundle).data["files"]}
    for name in (CONFIG, GENERATION_CONFIG):
        assert described[name]["media_type"] == "application/json"
        assert described[name]["bytes"] == bundle.joinpath(name).stat().st_size


def test_sizes_that_only_transformers_knows_are_filled_in(tmp_path: Path) -> None:
    """Other libraries don't know its defaults: GPT-2 small may be saved without any size."""
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    folder.joinpath(CONFIG).write_text('{"model_type": "gpt2"}')
    config = _written(folder, tmp_path / "bundle")[CONFIG]
    sizes = {name: config[name] for name in ("n_layer", "n_head", "n_embd", "vocab_size")}
    assert sizes == {"n_layer": 12, "n_head": 12, "n_embd": 768, "vocab_size": 50257}
    assert config["architectures"] == ["GPT2LMHeadModel"]


def test_the_config_is_that_of_the_exported_model(
    tiny_llama_checkpoint: Path, tmp_path: Path
) -> None:
    """However the checkpoint was trained: the graphs have a head, a cache, no other outputs."""
    trained = {
        "architectures": ["LlamaModel"],
        "use_cache": False,
        "output_hidden_states": True,
        "initializer_range": 0.5,
    }
    folder = _folder(tiny_llama_checkpoint, tmp_path / "checkpoint", trained, {"use_cache": False})
    written = _written(folder, tmp_path / "bundle")
    config = written[CONFIG]
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["use_cache"] is True
    assert config["output_hidden_states"] is False
    assert config["initializer_range"] == 0.5
    assert written[GENERATION_CONFIG] == {"use_cache": True}


def test_the_checkpoints_way_to_generate_is_kept(
    tiny_gpt2_checkpoint: Path, tmp_path: Path
) -> None:
    own = {"do_sample": True, "temperature": 0.6, "eos_token_id": [0, 5], "max_length": 20}
    folder = _folder(tiny_gpt2_checkpoint, tmp_path / "checkpoint", {}, own)
    assert _written(folder, tmp_path / "bundle")[GENERATION_CONFIG] == {**own, "use_cache": True}


@pytest.mark.parametrize("damaged", [None, "", "[1]", '{"eos_token_id": '])
def test_without_a_readable_one_it_follows_from_the_config(
    damaged: str | None, tiny_gpt2_checkpoint: Path, tmp_path: Path
) -> None:
    folder = _folder(tiny_gpt2_checkpoint, tmp_path / "checkpoint", {"eos_token_id": 7})
    if damaged is not None:
        folder.joinpath(GENERATION_CONFIG).write_text(damaged)
    made = _written(folder, tmp_path / "bundle")[GENERATION_CONFIG]
    assert made["eos_token_id"] == 7
    assert GenerationConfig.from_pretrained(tmp_path / "bundle").eos_token_id == 7


CODE: dict[str, Any] = {
    "auto_map": {"AutoConfig": "evil--configuration.Config"},
    "custom_pipelines": {"text-generation": {"impl": "evil.Pipeline"}},
    "_attn_implementation": "evil/kernels",
    "attn_implementation": "evil/kernels",
    "_name_or_path": "runs/evil",
    "trust_remote_code": "evil",
    "transformers.js_config": {"dtype": "evil"},
    "task_specific_params": {"text-generation": {"auto_map": {"x": "evil--y"}, "max_length": 50}},
}


def test_no_code_and_no_path_is_handed_on(tiny_gpt2_checkpoint: Path, tmp_path: Path) -> None:
    folder = _folder(tiny_gpt2_checkpoint, tmp_path / "checkpoint", CODE, CODE)
    written = _written(folder, tmp_path / "bundle")
    for name, entries in written.items():
        assert "evil" not in json.dumps(entries), name
        assert entries["task_specific_params"] == {"text-generation": {"max_length": 50}}, name


def test_what_strict_json_cannot_say_is_left_out(
    tiny_gpt2_checkpoint: Path, tmp_path: Path
) -> None:
    folder = _folder(tiny_gpt2_checkpoint, tmp_path / "checkpoint", {})
    text = folder.joinpath(CONFIG).read_text().rstrip().removesuffix("}")
    folder.joinpath(CONFIG).write_text(
        "\ufeff" + text + ', "a": NaN, "b": [1, -Infinity], "c": 1e999, "d": 90071992547409930, '
        f'"e": "\\ud800", "f": "{"x" * 70_000}", "kept": "\\u00e9"' + "}",
        encoding="utf-8",
    )
    config = _written(folder, tmp_path / "bundle")[CONFIG]
    assert not set("abcdef") & set(config)
    assert config["kept"] == "é"
