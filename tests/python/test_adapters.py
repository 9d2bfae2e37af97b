"""LoRA adapters are merged at export as PEFT merges them: `merge_and_unload`, and the outputs of
the model with the adapter beside it, are the truth."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoint_files import checked_line, copy_checkpoint
from safetensors.torch import load_file, save_file
from test_doctor import refused_lines
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
)

from oriel import Bundle
from oriel.bundle.compare_bundle import check_same_source
from oriel.bundle.write_weights import checkpoint_digest
from oriel.cli import main
from oriel.contract.json_value import JsonObject
from oriel.contract.manifest import read_manifest
from oriel.doctor.examine import examine
from oriel.errors import BundleError, CheckpointError, OrielError
from oriel.models.find_checkpoint import find_checkpoint, with_adapter
from oriel.models.load_model import LoadedModel, load_model

peft = pytest.importorskip("peft")


def load(base: Path, adapter: Path) -> LoadedModel:
    return load_model(with_adapter(find_checkpoint(str(base)), adapter))


def error_of(base: Path, adapter: Path) -> str:
    with pytest.raises(OrielError) as raised:
        load(base, adapter)
    line = checked_line(str(raised.value))
    found = examine(with_adapter(find_checkpoint(str(base)), adapter))
    assert [f.line for f in found.findings if f.verdict == "refused"] == [line]
    return line


def trained(base: Path, folder: Path, dtype: torch.dtype = torch.float32, **settings: Any) -> Path:
    """An adapter as PEFT saves it, whose every tensor holds random values."""
    model = AutoModelForCausalLM.from_pretrained(base)
    adapted = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", **settings))
    draw = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=draw) * 0.3)
    adapted.save_pretrained(folder)
    if dtype != torch.float32:
        file = folder / "adapter_model.safetensors"
        save_file({name: t.to(dtype) for name, t in load_file(file).items()}, file)
    return folder


def merged(base: Path, adapter: Path) -> PreTrainedModel:
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    joined: PreTrainedModel = peft.PeftModel.from_pretrained(model, adapter).merge_and_unload()
    return joined


LLAMA: dict[str, dict[str, Any]] = {
    "queries and values": {"r": 4, "target_modules": ["q_proj", "v_proj"]},
    "every matrix, by the root": {
        "r": 3,
        "lora_alpha": 5,
        "use_rslora": True,
        "target_modules": "all-linear",
    },
    "ranks of their own": {
        "r": 4,
        "target_modules": ["q_proj", "down_proj"],
        "rank_pattern": {"down_proj": 2, "model.layers.0.self_attn.q_proj": 6},
        "alpha_pattern": {"layers.1.mlp.down_proj": 16, "^model.layers.2.self_attn.q_proj": 1},
    },
    "some layers": {
        "r": 2,
        "target_modules": ["gate_proj"],
        "layers_to_transform": [1, 3],
    },
    "embeddings": {"r": 2, "target_modules": ["embed_tokens", "lm_head", "o_proj"]},
    "whole modules": {"r": 2, "target_modules": ["k_proj"], "modules_to_save": ["lm_head"]},
}
GPT2: dict[str, dict[str, Any]] = {
    "square matrices of Conv1D": {"r": 4, "target_modules": ["c_proj"], "fan_in_fan_out": True},
    "biases": {"r": 4, "target_modules": ["c_attn"], "fan_in_fan_out": True, "bias": "all"},
    "a head of its own": {
        "r": 4,
        "target_modules": ["c_fc"],
        "fan_in_fan_out": True,
        "modules_to_save": ["lm_head"],
    },
    "an embedding of its own": {
        "r": 4,
        "target_modules": ["c_attn"],
        "fan_in_fan_out": True,
        "modules_to_save": ["wte"],
    },
}
CASES = [("llama", name) for name in LLAMA] + [("gpt2", name) for name in GPT2]


@pytest.mark.parametrize(("kind", "name"), CASES, ids=[f"{k} {n}" for k, n in CASES])
def test_weights_are_those_that_peft_merges(
    kind: str, name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    base: Path = request.getfixturevalue(f"tiny_{kind}_checkpoint")
    settings = (LLAMA if kind == "llama" else GPT2)[name]
    adapter = trained(base, tmp_path / "adapter", **settings)
    theirs = merged(base, adapter).state_dict()
    model = load(base, adapter)
    plain = load_model(find_checkpoint(str(base))).checkpoint
    changed = 0
    for parameter in model.checkpoint.tensors:
        ours = model.checkpoint.read(parameter).float()
        assert torch.allclose(ours, theirs[parameter], rtol=0, atol=1e-6), parameter
        is_new = parameter not in plain.tensors
        changed += is_new or not torch.equal(ours, plain.read(parameter).float())
    assert changed, "the adapter changes something"
    # Tied weights stay one where both are the same.
    head, table = (
        theirs["lm_head.weight"],
        theirs[model.spec.architecture.token_embedding + ".weight"],
    )
    assert model.spec.ties_embeddings == torch.equal(head, table)
    assert any("The LoRA adapter adapter was merged into" in text for text in model.notices)
    assert examine(model.source).works


def test_adapters_of_half_precision_are_widened(
    tiny_llama_checkpoint: Path, tmp_path: Path
) -> None:
    adapter = trained(
        tiny_llama_checkpoint, tmp_path / "a", torch.bfloat16, r=4, target_modules=["q_proj"]
    )
    name = "model.layers.0.self_attn.q_proj"
    tensors = load_file(adapter / "adapter_model.safetensors")
    first, second = (
        tensors[f"base_model.model.{name}.lora_{part}.weight"].double().numpy() for part in "AB"
    )
    before = load_model(find_checkpoint(str(tiny_llama_checkpoint))).checkpoint
    # PEFT's default alpha is 8.
    wanted = before.read(f"{name}.weight").double().numpy() + 8 / 4 * (second @ first)
    ours = load(tiny_llama_checkpoint, adapter).checkpoint.read(f"{name}.weight")
    assert np.allclose(ours.numpy(), wanted, atol=1e-6)


def test_an_adapter_is_exported_and_verified(
    tiny_llama_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def without_later_layers(tensors: dict[str, torch.Tensor]) -> None:
        for name in [name for name in tensors if re.search(r"layers\.[1-9]", name)]:
            del tensors[name]

    base = copy_checkpoint(
        tiny_llama_checkpoint,
        tmp_path / "tiny-llama",
        config={"num_hidden_layers": 1},
        change=without_later_layers,
    )
    adapter = trained(base, tmp_path / "tuned", r=4, target_modules=["q_proj", "up_proj"])
    graph = tmp_path / "bundle" / "model.onnx"
    command = ["export", "--model", str(base), "--adapter", str(adapter), "--output", str(graph)]
    assert main([*command, "--verify"]) == 0
    assert "The LoRA adapter tuned was merged into 2 weights" in " ".join(
        capsys.readouterr().err.split()
    )
    model = read_manifest(graph.parent).data["model"]
    assert model["name"] == "tiny-llama-tuned"
    assert model["source"]["adapter"] == "tuned"
    ids = np.array([[3, 1, 4, 1, 5, 9]])
    # With the adapter beside the weights, as it was trained.
    beside = peft.PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), adapter)
    with torch.no_grad():
        wanted = beside.eval()(torch.from_numpy(ids)).logits.numpy()
    with Bundle(graph.parent) as bundle:
        assert np.allclose(bundle.run(ids)["logits"], wanted, atol=1e-4)
    # The same once more changes nothing; another adapter of that name is another model.
    assert main(command) == 0
    assert "is up to date" in capsys.readouterr().out
    assert main(["verify", "--model", str(graph), "--checkpoint", str(base)]) == 2
    assert "made with the adapter 'tuned'" in capsys.readouterr().err
    other = trained(base, tmp_path / "again" / "tuned", r=2, target_modules=["q_proj"])
    both = ["--checkpoint", str(base), "--adapter", str(other)]
    assert main(["verify", "--model", str(graph), *both]) == 1


def test_an_adapter_of_that_name_does_not_replace_another(
    tiny_llama_checkpoint: Path, tmp_path: Path
) -> None:
    """Both bundles of a Hub model's adapters would lie in one folder."""
    base = tiny_llama_checkpoint
    model = load(base, trained(base, tmp_path / "a", r=2, target_modules=["q_proj"]))
    on_hub = replace(model, source=replace(model.source, kind="hub", id="someone/tiny"))
    source: JsonObject = {"kind": "hub", "id": "someone/tiny", "adapter": "a"}
    there: JsonObject = {"source": source, "weights_digest": checkpoint_digest(model.checkpoint)}
    check_same_source({"model": there}, tmp_path, on_hub)
    other: JsonObject = {**there, "weights_digest": "sha256:" + "0" * 64}
    with pytest.raises(BundleError, match="holds the bundle of another model"):
        check_same_source({"model": other}, tmp_path, on_hub)


@pytest.fixture
def plain(tiny_llama_checkpoint: Path, tmp_path: Path) -> Path:
    return trained(tiny_llama_checkpoint, tmp_path / "plain", r=4, target_modules=["q_proj"])


def set_in_config(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        file = folder / "adapter_config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))

    return change


def set_tensors(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def changed(folder: Path) -> None:
        file = folder / "adapter_model.safetensors"
        tensors = load_file(file)
        change(tensors)
        save_file(tensors, file)

    return changed


FIRST = "base_model.model.model.layers.0.self_attn.q_proj"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (set_in_config(peft_type="IA3"), "isn't plain LoRA; got peft_type 'IA3'"),
        (set_in_config(use_dora=True), "got use_dora: True; expected W + scale * B @ A"),
        (set_in_config(lora_bias=True), "got lora_bias: True"),
        (set_in_config(layer_replication=[[0, 2]]), "got layer_replication: [[0, 2]]"),
        (set_in_config(of_the_future={"on": 1}), "got of_the_future: {'on': 1}"),
        (set_in_config(init_lora_weights="pissa_niter_4"), "which changes the base model"),
        (set_in_config(r=0), "the adapter's r can't be read; got 0"),
        (set_in_config(r=2), "q_proj.lora_A in the adapter plain has the wrong shape"),
        (set_in_config(lora_alpha="8"), "the adapter's lora_alpha can't be read; got '8'"),
        (set_in_config(rank_pattern={"(a+)+$": 2}), "the adapter's rank_pattern can't be read"),
        (set_tensors(lambda t: t.pop(f"{FIRST}.lora_B.weight")), "lacks a part; got lora_A of "),
        (
            set_tensors(lambda t: t.update({f"{FIRST}.lora_magnitude_vector": torch.ones(40)})),
            "isn't plain LoRA; got base_model.model.model.layers.0.self_attn.q_proj.lora_magn",
        ),
        (
            set_tensors(lambda t: t.update({f"{FIRST}.lora_B.bias": torch.ones(40)})),
            "isn't plain LoRA; got base_model.model.model.layers.0.self_attn.q_proj.lora_B.bias",
        ),
        (
            set_tensors(lambda t: t.update({"base_model.model.score.weight": torch.ones(2, 32)})),
            "doesn't fit the model; got base_model.model.score.weight",
        ),
        (set_tensors(lambda t: t.clear()), "doesn't fit the model; got no tensors"),
        (lambda folder: (folder / "adapter_model.safetensors").unlink(), "has no weights"),
    ],
)
def test_what_is_no_plain_lora_is_refused(
    change: Callable[[Path], None], said: str, plain: Path, tiny_llama_checkpoint: Path
) -> None:
    change(plain)
    assert said in error_of(tiny_llama_checkpoint, plain)


def test_an_adapter_of_another_model_is_refused(
    plain: Path, tiny_gpt2_checkpoint: Path, tiny_llama_checkpoint: Path, tmp_path: Path
) -> None:
    assert "doesn't fit the model" in error_of(tiny_gpt2_checkpoint, plain)
    config = LlamaConfig.from_pretrained(tiny_llama_checkpoint)
    wider = LlamaForCausalLM(LlamaConfig(**{**config.to_dict(), "hidden_size": 48}))
    wider.save_pretrained(tmp_path / "wider")
    assert "lora_A in the adapter plain has the wrong shape; got [4, 32]; expected [4, 48]" in (
        error_of(tmp_path / "wider", plain)
    )


@pytest.mark.parametrize("module", ["wte", "lm_head"])
def test_a_lora_on_one_of_two_tied_weights_is_refused(
    module: str, tiny_gpt2_checkpoint: Path, tmp_path: Path
) -> None:
    adapter = trained(tiny_gpt2_checkpoint, tmp_path / "a", r=2, target_modules=[module])
    assert "changes one of two tied weights" in error_of(tiny_gpt2_checkpoint, adapter)


def test_a_folder_without_an_adapter_is_told(tiny_gpt2_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="--adapter names no adapter; got "):
        load(tiny_gpt2_checkpoint, tmp_path)
    # As Trainer leaves one for each step.
    trained(tiny_gpt2_checkpoint, tmp_path / "run" / "checkpoint-20", target_modules=["c_fc"])
    with pytest.raises(CheckpointError, match=r"--adapter .*/run/checkpoint-20"):
        load(tiny_gpt2_checkpoint, tmp_path / "run")


def test_an_adapter_alone_says_how_it_is_exported(plain: Path) -> None:
    with pytest.raises(CheckpointError) as raised:
        find_checkpoint(str(plain))
    line = checked_line(str(raised.value))
    assert "an adapter (LORA) of" in line
    assert f"--adapter {plain}" in line


def test_flags_that_need_each_other(
    plain: Path, tiny_llama_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "--adapter", str(plain)]) == 2
    assert "--adapter without --model" in capsys.readouterr().err
    assert main(["verify", "--model", str(tiny_llama_bundle), "--adapter", str(plain)]) == 2
    assert "--adapter without --checkpoint" in capsys.readouterr().err


def test_a_quantized_model_takes_an_adapter(
    tiny_llama_checkpoint: Path, plain: Path, tmp_path: Path
) -> None:
    """Adapters of QLoRA: the decoded weight is what the product is added to."""
    name = "model.layers.0.self_attn.q_proj.weight"

    def change(tensors: dict[str, torch.Tensor]) -> None:
        tensors[f"{name}_scale_inv"] = torch.tensor(0.5)
        tensors[name] = tensors[name].to(torch.float8_e4m3fn)

    settings = {"quant_method": "fp8", "weight_block_size": None}
    base = copy_checkpoint(
        tiny_llama_checkpoint,
        tmp_path / "base",
        config={"quantization_config": settings},
        change=change,
    )
    before = load_model(find_checkpoint(str(base))).checkpoint.read(name)
    after = load(base, plain).checkpoint.read(name)
    on_plain = load(tiny_llama_checkpoint, plain).checkpoint.read(name)
    was = load_model(find_checkpoint(str(tiny_llama_checkpoint))).checkpoint.read(name)
    assert torch.allclose(after - before, on_plain - was, atol=1e-6)
    assert not torch.allclose(before, was, atol=1e-3)
    assert refused_lines(base) == []
    shutil.rmtree(base)
