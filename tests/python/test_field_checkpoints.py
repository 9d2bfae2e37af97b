"""Checkpoints as people have them, after public bug reports: each is read as transformers reads it,
or refused with what it holds and the one next step."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from checkpoint_files import (
    Tensors,
    checked_line,
    copy_checkpoint,
    error_of,
    load,
    save_as_zip_pickle,
    save_in_shards,
    tensors_of,
)
from command_lines import export_main
from conftest import save_random
from safetensors.torch import load_file, save_file
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
)

from oriel.errors import OrielError
from oriel.models.find_checkpoint import find_checkpoint
from oriel.models.load_model import LoadedModel
from oriel.models.no_checkpoint import describe_repository

TOKENS, HEAD = "transformer.wte.weight", "lm_head.weight"
IDS = torch.tensor([[5, 17, 80, 2, 5]])
Change = Callable[[Tensors], object]


def prefixed(*prefixes: str) -> Change:
    """Put before all names, as a wrapper's state dict has them."""

    def change(tensors: Tensors) -> None:
        for name in list(tensors):
            tensors["".join(prefixes) + name] = tensors.pop(name)

    return change


def with_more(**more: torch.Tensor) -> Change:
    return lambda tensors: tensors.update(
        {name.replace("__", "."): tensor for name, tensor in more.items()}
    )


def compiled_blocks(tensors: Tensors) -> None:
    """torch.compile on each block, within DataParallel."""
    for name in list(tensors):
        first, h, rest = name.partition(".h.")
        number, _, inner = rest.partition(".")
        new = f"{first}.h.{number}._orig_mod.{inner}" if h else name
        tensors[f"module.{new}"] = tensors.pop(name)


class TestReadAsTransformersReadsIt:
    @pytest.mark.parametrize("architecture", ["gpt2", "llama"])
    @pytest.mark.parametrize(
        "change",
        [
            prefixed("_orig_mod."),
            prefixed("module."),
            prefixed("base_model."),
            prefixed("base_model.model."),
            prefixed("model."),
            prefixed("module.", "_orig_mod."),
            prefixed("_orig_mod.", "module.", "base_model.model."),
            prefixed("_forward_module.", "model."),
            prefixed("_fsdp_wrapped_module."),
            prefixed("ema."),
            prefixed("module.", "ema_model."),
        ],
    )
    def test_a_wrapper_s_prefix_is_taken_away_and_told(
        self, change: Change, architecture: str, request: pytest.FixtureRequest, tmp_path: Path
    ) -> None:
        original = request.getfixturevalue(f"tiny_{architecture}_checkpoint")
        model = load(copy_checkpoint(original, tmp_path / "copy", change=change))
        for name, tensor in tensors_of(original).items():
            assert torch.equal(model.checkpoint.read(name), tensor), name
        (note,) = model.notices
        assert note.startswith("The names of the weights begin with ")

    def test_wrapped_parts_and_a_head_outside_of_the_wrapper(
        self, tiny_gpt2_checkpoint: Path, tmp_path: Path
    ) -> None:
        def change(tensors: Tensors) -> None:
            compiled_blocks(tensors)
            tensors["v_head.summary.weight"] = torch.ones(1, 24)

        model = load(copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "copy", change=change))
        for name, tensor in tensors_of(tiny_gpt2_checkpoint).items():
            assert torch.equal(model.checkpoint.read(name), tensor), name

    def test_a_prefix_stays_where_something_is_missing_without_it(
        self, tiny_gpt2_checkpoint: Path, tmp_path: Path
    ) -> None:
        def change(tensors: Tensors) -> None:
            del tensors["transformer.h.2.ln_1.bias"]
            prefixed("module.")(tensors)

        line = error_of(copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "copy", change=change))
        assert "it has module.transformer." in line

    @pytest.mark.parametrize(
        "more",
        [
            {"v_head__summary__weight": torch.ones(1, 24), "v_head__summary__bias": torch.ones(1)},
            {"value_head__weight": torch.ones(1, 24)},
            {"multiple_choice_head__summary__weight": torch.ones(1, 24)},
            {"medusa_head__0__linear__weight": torch.ones(24, 24)},
            {"score__weight": torch.ones(3, 24), "lm_head__weight": None},
        ],
    )
    def test_heads_beside_the_language_model_s_are_left_out_and_told(
        self, more: dict[str, Any], tiny_gpt2_checkpoint: Path, tmp_path: Path
    ) -> None:
        tied = tensors_of(tiny_gpt2_checkpoint)[TOKENS]
        kept = {name: tied.clone() if tensor is None else tensor for name, tensor in more.items()}
        if HEAD.replace(".", "__") in kept:
            # A classifier that kept its own head as well, untied.
            folder = copy_checkpoint(
                tiny_gpt2_checkpoint,
                tmp_path / "copy",
                change=with_more(**kept),
                config={"tie_word_embeddings": False},
            )
        else:
            folder = copy_checkpoint(
                tiny_gpt2_checkpoint, tmp_path / "copy", change=with_more(**kept)
            )
        model = load(folder)
        (note,) = model.notices
        assert note.startswith("Weights beside the language model were left out: ")
        loaded: Any = GPT2LMHeadModel.from_pretrained(folder, output_loading_info=True)
        stock, loading = loaded
        assert not loading["missing_keys"]
        for name, tensor in stock.named_parameters():
            assert torch.equal(model.checkpoint.read(name), tensor), name

    @pytest.mark.parametrize(
        ("embedding", "head"),
        [
            (torch.bfloat16, torch.float32),
            (torch.float16, torch.float32),
            (torch.bfloat16, torch.float64),
        ],
    )
    def test_a_tied_copy_in_another_dtype_is_a_copy(
        self,
        embedding: torch.dtype,
        head: torch.dtype,
        tiny_gpt2_checkpoint: Path,
        tmp_path: Path,
    ) -> None:
        def change(tensors: Tensors) -> None:
            tensors[TOKENS] = tensors[TOKENS].to(embedding)
            tensors[HEAD] = tensors[TOKENS].to(head)

        model = load(copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "copy", change=change))
        assert model.spec.ties_embeddings
        assert model.notices == ()
        assert HEAD not in model.checkpoint.tensors

    def test_a_tied_model_that_kept_its_head_alone(
        self, tiny_gpt2_checkpoint: Path, tmp_path: Path
    ) -> None:
        def change(tensors: Tensors) -> None:
            tensors[HEAD] = tensors.pop(TOKENS)

        folder = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "copy", change=change)
        stock = GPT2LMHeadModel.from_pretrained(folder)
        assert torch.equal(load(folder).checkpoint.read(TOKENS), stock.transformer.wte.weight)

    @pytest.mark.parametrize("same", [True, False])
    def test_a_tensor_in_two_listed_shards(
        self, same: bool, tiny_gpt2_checkpoint: Path, tmp_path: Path
    ) -> None:
        folder = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "copy", save=save_in_shards)
        one, two = sorted(folder.glob("*.safetensors"))
        first, second = load_file(one), load_file(two)
        name = next(iter(first))
        second[name] = first[name].clone() if same else first[name] + 1
        save_file(second, two)
        if same:
            assert torch.equal(load(folder).checkpoint.read(name), first[name])
        else:
            line = error_of(folder)
            assert f"holds {name} twice; got other values in {one.name} than in {two.name}" in line


def with_mark(file: Path) -> None:
    file.write_bytes(codecs.BOM_UTF8 + file.read_bytes().replace(b"\n", b"\r\n"))


@pytest.fixture
def one_layer(tmp_path: Path) -> Callable[..., Path]:
    """A checkpoint that is exported in a few seconds."""

    def make(name: str = "small", llama: bool = False, **config: Any) -> Path:
        model: PreTrainedModel
        if llama:
            sizes = {"hidden_size": 16, "intermediate_size": 20, "num_attention_heads": 2}
            common = {"vocab_size": 83, "num_hidden_layers": 1, "max_position_embeddings": 16}
            model = LlamaForCausalLM(LlamaConfig(**sizes, **common, **config))  # type: ignore[arg-type]
        else:
            base = {"vocab_size": 83, "n_positions": 16, "n_embd": 16, "n_layer": 1, "n_head": 2}
            ends = {"bos_token_id": 0, "eos_token_id": 0}
            model = GPT2LMHeadModel(GPT2Config(**(base | ends | config)))
        return save_random(model, tmp_path / "originals" / name)

    return make


def exported_logits(folder: Path, tmp_path: Path) -> np.ndarray[Any, Any]:
    """Those of the plain graph that export.py --verify writes, which must pass."""
    output = tmp_path / "out" / "model.onnx"
    assert export_main(["--model", str(folder), "--output", str(output), "--verify"]) == 0
    session = onnxruntime.InferenceSession(
        output.with_name("model.plain.onnx"), providers=["CPUExecutionProvider"]
    )
    found: np.ndarray[Any, Any] = session.run(["logits"], {"input_ids": IDS.numpy()})[0]
    return found


def test_a_tied_head_that_differs_is_exported_as_transformers_has_it(
    one_layer: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def change(tensors: Tensors) -> None:
        tensors[HEAD] = tensors["model.embed_tokens.weight"] * 1.5 + 0.01

    original = one_layer(llama=True, tie_word_embeddings=True)
    folder = copy_checkpoint(original, tmp_path / "copy", change=change)
    found = exported_logits(folder, tmp_path)
    with torch.no_grad():
        want = LlamaForCausalLM.from_pretrained(folder)(IDS).logits.numpy()
        tied = LlamaForCausalLM.from_pretrained(original)(IDS).logits.numpy()
    np.testing.assert_allclose(found, want, atol=1e-5)
    assert np.abs(found - tied).max() > 0.1
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text("utf-8"))
    assert manifest["model"]["tied_embeddings"] is False
    assert "holds other values than" in " ".join(capsys.readouterr().err.split())


def test_files_of_an_editor_and_a_wrapper_are_exported_and_verified(
    one_layer: Callable[..., Path], tmp_path: Path
) -> None:
    """Byte order marks and CRLF in every JSON file, wrapped names, shards: all at once."""
    original = one_layer()
    folder = copy_checkpoint(
        original,
        tmp_path / "copy",
        change=prefixed("module.", "_orig_mod."),
        save=save_in_shards,
    )
    (folder / "generation_config.json").write_text('{\n"eos_token_id": [0, 7]\n}')
    for file in folder.glob("*.json"):
        with_mark(file)
    found = exported_logits(folder, tmp_path)
    with torch.no_grad():
        want = GPT2LMHeadModel.from_pretrained(original)(IDS).logits.numpy()
    np.testing.assert_allclose(found, want, atol=1e-5)


def test_a_context_of_one_token_is_verified(one_layer: Callable[..., Path], tmp_path: Path) -> None:
    output = tmp_path / "out" / "model.onnx"
    folder = one_layer(n_positions=1)
    assert export_main(["--model", str(folder), "--output", str(output), "--verify"]) == 0
    report = json.loads((tmp_path / "out" / "verification.json").read_text("utf-8"))
    checks = {c["name"]: c["verdict"] for c in report["variants"][0]["checks"]}
    left = {name: verdict for name, verdict in checks.items() if verdict != "passed"}
    assert left == dict.fromkeys(("cached_vs_uncached", "padded_vs_alone"), "not applicable")


def adapter(folder: Path) -> None:
    said = {"base_model_name_or_path": "someone/tiny", "peft_type": "LORA"}
    (folder / "adapter_config.json").write_text(json.dumps(said))


def without(*names: str) -> Callable[[Path], object]:
    """A folder with these files in the place of its own."""

    def change(folder: Path) -> None:
        for file in folder.iterdir():
            if file.name != "config.json" or "config.json" in names:
                file.unlink()
        for name in names:
            if name != "config.json":
                (folder / name).parent.mkdir(exist_ok=True)
                (folder / name).write_bytes(b"GGUF" if name.endswith("gguf") else b"x")

    return change


def only_adapter(folder: Path) -> None:
    without("config.json", "adapter_model.safetensors")(folder)
    adapter(folder)


def runs(folder: Path) -> None:
    without("config.json")(folder)
    for number in (90, 1000):
        (folder / f"checkpoint-{number}").mkdir()
        (folder / f"checkpoint-{number}" / "config.json").write_text("{}")


def dangling(folder: Path) -> None:
    without("config.json")(folder)
    (folder / "config.json").symlink_to("../../blobs/abcdef0123456789")


@pytest.mark.parametrize(
    ("change", "has", "step"),
    [
        (only_adapter, "got an adapter (LORA) of someone/tiny", "--model someone/tiny --adapter "),
        (without("tiny.Q4_K_M.gguf"), "got a GGUF file, tiny.Q4_K_M.gguf", "Name the checkpoint"),
        (without("model.onnx"), "got an ONNX graph, model.onnx", "Name the checkpoint"),
        (without("tf_model.h5"), "got TensorFlow weights, tf_model.h5", "from_tf=True"),
        (without("flax_model.msgpack"), "got Flax weights", "from_flax=True"),
        (without("consolidated.00.pth"), "as Meta gave them out", "convert_llama_weights_to_hf"),
        (without("zero_to_fp32.py"), "a DeepSpeed checkpoint in parts", "python zero_to_fp32.py"),
        (without("weights.safetensors"), "got weights.safetensors", "rename it to model.safetens"),
        (without("last.pt", "optimizer.pt"), "got last.pt", "rename it to pytorch_model.bin"),
        (
            without("model-00001-of-00002.safetensors"),
            "1 shards such as model-00001-of-00002.safetensors, and no index",
            "Put model.safetensors.index.json there",
        ),
        (runs, "folders with checkpoints: checkpoint-90, checkpoint-1000", "--model"),
        (dangling, "config.json, a link to a file that is gone", "Copy the files themselves"),
        (without("config.json", "model.safetensors"), "model.safetensors without con", "Copy conf"),
    ],
)
def test_a_folder_without_a_checkpoint_says_what_it_has(
    change: Callable[[Path], object],
    has: str,
    step: str,
    tiny_gpt2_checkpoint: Path,
    tmp_path: Path,
) -> None:
    folder = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "x y")
    change(folder)
    line = error_of(folder)
    assert has in line
    assert step in line


def test_a_cache_with_links_to_nothing_names_the_model(
    tiny_gpt2_checkpoint: Path, tmp_path: Path
) -> None:
    folder = copy_checkpoint(
        tiny_gpt2_checkpoint, tmp_path / "models--acme--tiny" / "snapshots" / ("ab" * 20)
    )
    for name in ("config.json", "model.safetensors"):
        (folder / name).rename(folder / f"{name}.moved")
        (folder / name).symlink_to("../../blobs/0123456789abcdef")
    line = error_of(folder)
    assert "config.json, a link to a file that is gone" in line
    assert line.endswith("Download it again: hf download acme/tiny.")
    (folder / "config.json.moved").replace(folder / "config.json")
    assert "got model.safetensors, a link to a file that is gone" in error_of(folder)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("tiny.gguf", b"GGUF\3", "got a GGUF file, tiny.gguf"),
        ("renamed.bin", b"GGUF\3", "got a GGUF file, renamed.bin"),
        ("model.onnx", b"\x08\x08", "got an ONNX graph, model.onnx"),
        ("model.safetensors", b"x", "weights without a config.json beside them"),
        ("notes.txt", b"x", "Name the folder that holds it."),
    ],
)
def test_a_file_given_as_model(name: str, data: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(data)
    assert said in error_of(tmp_path / name)


def test_a_file_of_a_checkpoint_leads_to_its_folder(tiny_gpt2_checkpoint: Path) -> None:
    line = error_of(tiny_gpt2_checkpoint / "model.safetensors")
    assert line.endswith(f"Name the folder that holds it: --model {tiny_gpt2_checkpoint}.")


def test_a_folder_that_hides_a_hub_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "gpt2").mkdir()
    (tmp_path / "gpt2" / "notes.txt").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OrielError) as caught:
        find_checkpoint("gpt2")
    line = checked_line(str(caught.value))
    assert line.startswith("a local folder hides the Hub's gpt2, and is no checkpoint itself")
    assert "Rename that folder, or run the command from another one" in line


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "got an empty folder"),
        (["optimizer.pt", "trainer_state.json"], "got optimizer.pt, trainer_state.json, and no"),
        (["model_index.json"], "got a diffusers pipeline"),
    ],
)
def test_a_folder_given_by_its_path_is_told_before_the_hub(
    names: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`runs/last` may be a model of the Hub, and is most often a folder."""
    folder = tmp_path / "runs" / "last"
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OrielError) as caught:
        find_checkpoint("runs/last")
    line = checked_line(str(caught.value))
    assert line.startswith(f"no checkpoint in runs/last; {said}")


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["adapter_config.json", "adapter_model.safetensors"], "an adapter"),
        (["README.md", "tiny.Q8_0.gguf"], "a GGUF file, tiny.Q8_0.gguf"),
        (["config.json", "onnx.onnx"], "an ONNX graph, onnx.onnx"),
        (["config.json", "flax_model.msgpack"], "Flax weights, flax_model.msgpack"),
    ],
)
def test_a_repository_of_the_hub_says_what_it_has(names: list[str], said: str) -> None:
    told = describe_repository(names)
    assert told is not None
    assert told[0].startswith(said)
    assert describe_repository(["data.csv"]) is None


def emptied(tensors: Tensors) -> None:
    for name in tensors:
        tensors[name] = torch.empty(0)


def unmerged(tensors: Tensors) -> None:
    weight = tensors.pop("transformer.h.0.attn.c_attn.weight")
    tensors["transformer.h.0.attn.c_attn.base_layer.weight"] = weight
    tensors["transformer.h.0.attn.c_attn.lora_A.default.weight"] = torch.ones(4, 24)


def wider(tensors: Tensors) -> None:
    tensors[TOKENS] = torch.ones(103, 24)


@pytest.mark.parametrize(
    ("change", "config", "has", "step"),
    [
        (emptied, {}, "got 52 tensors of size 0", "python zero_to_fp32.py . merged"),
        (unmerged, {}, "saved with an adapter that isn't merged", "merge_and_unload()"),
        (
            with_more(score__weight=torch.ones(4, 24)),
            {},
            "is a classifier, not a language model; got score.weight of shape [4, 24]",
            "else export the language model that it was trained from.",
        ),
        (wider, {}, "got [103, 24]; expected [101, 24]", 'set "vocab_size": 103 in config.json'),
        (
            with_more(),
            {"tie_word_embeddings": False},
            "got no lm_head.weight",
            'set "tie_word_embeddings": true in config.json',
        ),
        (with_more(), {"model_type": None}, "no model_type", 'add "model_type": "gpt2"'),
        (
            with_more(),
            {"model_type": None, "architectures": ["LLaMAForCausalLM"]},
            "no model_type",
            'add "model_type": "llama"',
        ),
        (with_more(), {"n_head": 5}, "must be divisible", "itself refuses it: correct that entry"),
        (with_more(vision_tower__weight=torch.ones(2)), {}, "got vision_tower.weight", "Check"),
    ],
)
def test_a_checkpoint_that_is_refused_says_what_it_has(
    change: Change,
    config: dict[str, Any],
    has: str,
    step: str,
    tiny_gpt2_checkpoint: Path,
    tmp_path: Path,
) -> None:
    folder = copy_checkpoint(
        tiny_gpt2_checkpoint,
        tmp_path / "copy",
        change=change,
        config=config,
        save=save_as_zip_pickle,
    )
    line = error_of(folder)
    assert has in line
    assert step in line


def test_a_classifier_without_a_tied_head_is_no_damaged_language_model(
    tiny_llama_checkpoint: Path, tmp_path: Path
) -> None:
    def change(tensors: Tensors) -> None:
        del tensors[HEAD]
        tensors["score.weight"] = torch.ones(4, 32)

    line = error_of(copy_checkpoint(tiny_llama_checkpoint, tmp_path / "copy", change=change))
    assert "is a classifier, not a language model" in line


def test_an_adapter_beside_a_whole_model_is_told(
    tiny_gpt2_checkpoint: Path, tmp_path: Path
) -> None:
    folder = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "copy")
    adapter(folder)
    model: LoadedModel = load(folder)
    (note,) = model.notices
    assert "it was not applied" in note
    assert "merge_and_unload()" in note


def test_an_index_of_another_save_is_told(tiny_gpt2_checkpoint: Path, tmp_path: Path) -> None:
    folder = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "copy", save=save_in_shards)
    index = folder / "model.safetensors.index.json"
    index.write_text(index.read_text().replace("of-00002", "of-00004"))
    line = error_of(folder)
    assert "got no model-00001-of-00004.safetensors" in line
    assert "but model-00001-of-00002.safetensors" in line
    assert "this one is of another save" in line
