"""`oriel doctor` says beforehand what an export says: each refusal in the loader's own words, and
all of them at once. test_quantized_graphs.py holds the sizes that it names to those of files."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
import transformers
from architecture_variants import REFUSED, UNFIT, VARIANTS, Variant, small
from checkpoint_files import (
    Tensors,
    checked_line,
    copy_checkpoint,
    error_of,
    load,
    save_as_zip_pickle,
    save_in_shards,
)
from conftest import save_random
from safetensors.torch import save_file
from tokenizer_folders import byte_level, save
from transformers import GptOssConfig

from oriel.checkpoints.tensors import StoredTensors
from oriel.cli import main
from oriel.doctor.examine import Examination, examine
from oriel.doctor.refused_settings import refused_settings
from oriel.doctor.try_capture import try_capture
from oriel.doctor.variant_sizes import variant_sizes
from oriel.errors import ArchitectureError
from oriel.graph.export_onnx import trace
from oriel.models.architectures import REGISTRY, describe, llama_like
from oriel.models.find_checkpoint import find_checkpoint
from oriel.models.load_model import load_spec
from oriel.models.model_spec import ModelSpec, make_spec
from oriel.tokenizers.checkpoint_tokenizer import CheckpointTokenizer, read_checkpoint_tokenizer

DYNAMIC = {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}


def examined(folder: Path) -> Examination:
    """Its examination, which reads no value of a tensor."""
    unread = AssertionError("a tensor was read")
    with patch.object(StoredTensors, "read", side_effect=unread):
        return examine(find_checkpoint(str(folder)))


def refused_lines(folder: Path) -> list[str]:
    findings = examined(folder).findings
    return [checked_line(f.line) for f in findings if f.verdict == "refused"]


def config_alone(folder: Path, config: transformers.PreTrainedConfig) -> Path:
    folder.mkdir()
    config.save_pretrained(folder)
    return folder


def spec_of(variant: Variant) -> ModelSpec:
    config = variant.config()
    architecture = describe(config)
    return make_spec(config, architecture, architecture.shape(config))


@pytest.mark.parametrize("name", VARIANTS)
def test_what_can_be_exported_is_not_refused(name: str) -> None:
    spec = spec_of(VARIANTS[name])
    assert refused_settings(spec.config, spec.architecture.check_config) == []
    assert try_capture(spec) is None
    assert variant_sizes(spec)[0].name == "fp32"


@pytest.mark.parametrize(
    ("variant", "said"), REFUSED, ids=[f"{v.config_class} {said}" for v, said in REFUSED]
)
def test_a_setting_is_refused_in_the_loaders_words(
    variant: Variant, said: str, tmp_path: Path
) -> None:
    folder = config_alone(tmp_path / "model", variant.config())
    with pytest.raises(Exception, match=said) as raised:
        load_spec(folder)
    lines = refused_lines(folder)
    assert str(raised.value) in lines
    # The other one is that there are no weights.
    assert len(lines) == 2 and "no weights" in lines[1]


def test_all_settings_that_are_refused_are_told(tmp_path: Path) -> None:
    variant = small(
        "Granite",
        residual_multiplier=0.0,
        logits_scaling=0.0,
        rope_parameters=DYNAMIC,
        sliding_window=0,
    )
    lines = refused_lines(config_alone(tmp_path / "model", variant.config()))
    for said in (
        "rope_type 'dynamic'",
        "residual_multiplier: 0.0",
        "logits_scaling: 0.0",
        "sliding_window: 0",
    ):
        assert sum(said in line for line in lines) == 1, said


def test_attention_that_is_not_captured_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """gpt-oss asks its attention function for a sink, which no config entry shows."""
    paths = {"mlp_linear": None, "mlp_nonlinearity": "mlp", "mlp_output_matrix": "mlp"}
    monkeypatch.setitem(REGISTRY, "gpt_oss", llama_like("gpt_oss", "GptOssForCausalLM", **paths))
    config = GptOssConfig(
        vocab_size=61,
        hidden_size=24,
        intermediate_size=40,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        num_local_experts=2,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
    )
    (line, _) = refused_lines(config_alone(tmp_path / "model", config))
    assert "the attention of gpt_oss takes what the capture doesn't implement" in line
    assert "s_aux, a tensor" in line


def test_an_architecture_without_a_file_here_is_named(tmp_path: Path) -> None:
    folder = config_alone(tmp_path / "model", transformers.MambaConfig())
    (line, _) = refused_lines(folder)
    assert (
        "not supported yet; got model_type 'mamba'; expected one of " in line
        and ", llama, " in line
    )


NAME = "transformer.h.1.mlp.c_fc.weight"


def lost(tensors: Tensors) -> None:
    del tensors["transformer.h.2.ln_1.bias"]


def turned(tensors: Tensors) -> None:
    tensors[NAME] = tensors[NAME].t().contiguous()


def whole_numbers(tensors: Tensors) -> None:
    name = "transformer.h.3.mlp.c_fc.bias"
    tensors[name] = tensors[name].to(torch.int8)


def foreign(tensors: Tensors) -> None:
    tensors["vision_tower.weight"] = torch.ones(2)


CHANGES = (lost, turned, whole_numbers, foreign)


@pytest.mark.parametrize("saver", [None, save_as_zip_pickle, save_in_shards])
def test_all_that_is_wrong_with_tensors_is_told_at_once(
    saver: Callable[[Tensors, Path], object] | None, tiny_gpt2_checkpoint: Path, tmp_path: Path
) -> None:
    def all_four(tensors: Tensors) -> None:
        for change in CHANGES:
            change(tensors)

    folder = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "x", change=all_four, save=saver)
    lines = refused_lines(folder)
    assert len(lines) == len(CHANGES)
    for change in (turned, whole_numbers):
        alone = copy_checkpoint(
            tiny_gpt2_checkpoint, tmp_path / change.__name__ / "x", change=change, save=saver
        )
        assert error_of(alone) in lines
    assert any("got no transformer.h.2.ln_1.bias" in line for line in lines)
    assert any("got vision_tower.weight; expected none left over" in line for line in lines)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"model_type": None}, 'add "model_type": "gpt2"'),
        ({"n_head": 5}, "must be divisible"),
        ({"quantization_config": {"quant_method": "exl3"}}, "is quantized; got exl3"),
    ],
)
def test_a_config_that_is_refused_is_told(
    config: dict[str, Any], said: str, tiny_gpt2_checkpoint: Path, tmp_path: Path
) -> None:
    folder = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "x", config=config)
    (line,) = refused_lines(folder)
    assert said in line


def test_damaged_weights_are_told(tiny_gpt2_checkpoint: Path, tmp_path: Path) -> None:
    folder = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "x")
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    (line,) = refused_lines(folder)
    assert line == error_of(folder)


def test_what_browsers_can_not_hold_is_told(tmp_path: Path) -> None:
    """Qwen2-0.5B and 1.5B: 494 and 1,544 million parameters, of which the embedding is tied."""
    sizes = {
        "vocab_size": 151936,
        "num_hidden_layers": 24,
        "hidden_size": 896,
        "intermediate_size": 4864,
        "num_attention_heads": 14,
        "num_key_value_heads": 2,
        "tie_word_embeddings": True,
    }
    half = {s.name: s for s in variant_sizes(spec_of(small("Qwen2", **sizes)))}
    assert round(half["fp32"].bytes / 4e6) == 494
    # Twice 1.98 GB is over WebAssembly's memory; a GPU may hold it.
    assert half["fp32"].opens_on == half["q4"].opens_on == ("webgpu",)
    assert half["int8"].opens_on == ("wasm",)
    wider = {"hidden_size": 1536, "intermediate_size": 8960, "num_attention_heads": 12}
    larger = small("Qwen2", **{**sizes, **wider, "num_hidden_layers": 28})
    whole = {s.name: s for s in variant_sizes(spec_of(larger))}
    assert round(whole["fp32"].bytes / 4e6) == 1544
    # 6.2 GB; its 4-bit files are expanded to as much, where no kernel reads them as they are.
    assert whole["fp32"].opens_on == whole["q4"].opens_on == whole["fp16"].opens_on == ()
    assert whole["int4"].opens_on == ("wasm", "webgpu")
    folder = config_alone(tmp_path / "model", larger.config())
    (told,) = [f for f in examined(folder).findings if f.subject == "browser"]
    assert "fp32 6.2 GB (too large)" in told.line


def test_steps_of_a_training_beside_the_model_are_told(
    tiny_gpt2_checkpoint: Path, tmp_path: Path
) -> None:
    """Trainer leaves checkpoint-N folders in its output, and the last weights beside them."""
    folder = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "run")
    for step in (500, 1000, 90):
        copy_checkpoint(tiny_gpt2_checkpoint, folder / f"checkpoint-{step}")
    (folder / "logs").mkdir()
    (told,) = [f.line for f in examined(folder).findings if f.subject == "checkpoint"]
    assert told in [" ".join(text.split()) for text in load(folder).notices]
    assert "the training's steps checkpoint-90, checkpoint-500, checkpoint-1000" in told
    assert f"--model {folder}/checkpoint-1000." in told
    # Without weights of its own, one has to be chosen.
    (folder / "model.safetensors").unlink()
    (line,) = refused_lines(folder)
    assert f"name one, such as --model {folder}/checkpoint-1000".lower() in line.lower()


def test_a_model_saved_without_its_head_is_told(tmp_path: Path) -> None:
    """AutoModel saves the trunk alone: enough where the head is the embedding."""
    for ties in (True, False):
        config = small("Qwen2", tie_word_embeddings=ties).config()
        trunk: Any = transformers.AutoModel
        trunk.from_config(config).save_pretrained(tmp_path / str(ties))
    assert refused_lines(tmp_path / "True") == []
    (line,) = refused_lines(tmp_path / "False")
    assert line == error_of(tmp_path / "False")
    assert "lacks weights; got no lm_head.weight" in line
    # Phi's head has a bias too, so that none can be tied to the embedding.
    config = small("Phi", hidden_size=48).config()
    trunk.from_config(config).save_pretrained(tmp_path / "phi")
    (line,) = refused_lines(tmp_path / "phi")
    assert "the checkpoint phi was saved without its head; got the " in line
    assert "and no lm_head.bias, lm_head.weight" in line
    assert f"`oriel convert {tmp_path}/phi --format onnx --output DIR`" in line


def test_a_tokenizer_is_described(tiny_gpt2_checkpoint: Path, tmp_path: Path) -> None:
    folder = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "x")

    def told() -> str:
        return " ".join(f.line for f in examined(folder).findings if f.subject == "tokenizer")

    assert "no file of one in the checkpoint" in told()
    save(folder, byte_level(280))
    assert "it isn't this model's" in told() and "the model has 101" in told()
    assert examined(folder).works, "the model is exported without it"


def templates_in_config(folder: Path) -> None:
    save(folder, byte_level(280), chat_template="{{ messages }}")


def template_in_a_file(folder: Path) -> None:
    # transformers prefers the file.
    save(folder, byte_level(280), chat_template="{{ old }}")
    (folder / "chat_template.jinja").write_text("{{ messages }}")


def several_templates(folder: Path) -> None:
    several = [
        {"name": "tool_use", "template": "{{ tools }}"},
        {"name": "default", "template": "{{ messages }}"},
    ]
    save(folder, byte_level(280), chat_template=several)


@pytest.mark.parametrize("build", [templates_in_config, template_in_a_file, several_templates])
def test_a_chat_template_is_shown_and_travels(
    build: Callable[[Path], None], tiny_gpt2_checkpoint: Path, tmp_path: Path
) -> None:
    folder = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "x")
    build(folder)
    theirs = transformers.AutoTokenizer.from_pretrained(folder).chat_template
    wanted = {"default": theirs} if isinstance(theirs, str) else theirs
    found = examined(folder)
    assert dict(found.chat_templates) == wanted
    shown = [f.line for f in found.findings if "chat template" in f.line]
    assert len(shown) == len(wanted) and "'{{ messages }}'" in shown[0]
    # As transformers opens the bundle's tokenizer.
    made = read_checkpoint_tokenizer(folder, 280)
    assert isinstance(made, CheckpointTokenizer)
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    (bundle / "tokenizer.json").write_text(made.text)
    (bundle / "tokenizer_config.json").write_text(json.dumps(made.config))
    assert transformers.AutoTokenizer.from_pretrained(bundle).chat_template == theirs


def test_the_command_ends_with_what_it_found(
    tiny_gpt2_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(tiny_gpt2_checkpoint.iterdir())
    assert main(["doctor", str(tiny_gpt2_checkpoint)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("tiny-gpt2 can be exported: oriel export --model ")
    assert lines[0].split()[:3] == ["ok", "architecture", "gpt2:"]
    assert sorted(tiny_gpt2_checkpoint.iterdir()) == before

    folder = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "x", change=lost)
    assert main(["doctor", str(folder), "--json"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert data["model"] == "x" and not data["works"]
    (refused,) = [f for f in data["findings"] if f["verdict"] == "refused"]
    assert refused["subject"] == "tensors"
    assert refused["got"] == "no transformer.h.2.ln_1.bias"
    assert refused["expected"] == "the 52 tensors of its config"
    assert data["variants"][0]["name"] == "fp32"

    assert main(["doctor", str(tmp_path / "none")]) == 2
    assert "no such checkpoint" in checked_line(capsys.readouterr().err.splitlines()[-1])
    assert main(["doctor"]) == 2


def test_an_architecture_that_misses_activations_is_refused() -> None:
    spec = spec_of(VARIANTS["llama"])
    wrong = replace(spec.architecture, mlp_output_matrix="mlp.up_proj")
    error = try_capture(replace(spec, architecture=wrong))
    assert error is not None and "doesn't give the activations of the contract" in str(error)


@pytest.mark.parametrize("name", UNFIT)
def test_a_config_that_nobody_can_compute_is_refused(name: str, tmp_path: Path) -> None:
    variant, said = UNFIT[name]
    checkpoint = config_alone(tmp_path / "model", variant.config())
    # Of sizes below 1 transformers makes no model; its loader is asked for none.
    save_file({"lm_head.weight": torch.zeros(1, 1)}, checkpoint / "model.safetensors")
    assert any(said in line for line in refused_lines(checkpoint))


def test_an_export_of_such_a_config_ends_in_the_same_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    variant, said = UNFIT["olmoe-heads"]
    checkpoint = save_random(variant(), tmp_path / "model")
    (line,) = refused_lines(checkpoint)
    assert main(["export", "--model", str(checkpoint), "--output", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert said in told and "Traceback" not in told
    assert "config.json describes a model that can't be computed" in line
    assert not (tmp_path / "out").exists()


def test_a_capture_that_fails_alone_is_our_defect(tmp_path: Path) -> None:
    checkpoint = config_alone(tmp_path / "model", VARIANTS["gpt2"].config())
    spec = load_spec(checkpoint)
    broken = TypeError("unhashable type")
    with (
        patch("oriel.graph.export_onnx.capture_empty", side_effect=broken),
        pytest.raises(ArchitectureError) as error,
    ):
        trace(spec, 20)
    with patch("oriel.doctor.try_capture.capture_empty", side_effect=broken):
        told = try_capture(spec)
    for line in (str(error.value), str(told)):
        assert "Oriel fails to capture this gpt2; got TypeError: unhashable type" in line
        assert "transformers, which computes this config" in line
        assert "this is a defect of Oriel" in checked_line(line).replace("This", "this")
