"""Checkpoints as they come: every form that is read, and one line for each that is not."""

from __future__ import annotations

import json
import pickle
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from checkpoint_files import (
    RunsCode,
    Tensors,
    copy_checkpoint,
    error_of,
    load,
    save_as_old_pickle,
    save_as_safetensors,
    save_as_zip_pickle,
    save_in_shards,
    tensors_of,
)
from safetensors.torch import save_file

from oriel.bundle.write_weights import write_weights
from oriel.capture.captured_model import capture_empty, example_inputs
from oriel.checkpoints import tensors
from oriel.errors import CheckpointError
from oriel.graph.attach_weights import place_weights

TOKENS = "transformer.wte.weight"


def written_values(folder: Path, name: str, file: Path) -> torch.Tensor:
    """A weight as the bundle's data file holds it: float32, in the checkpoint's own shape."""
    model = load(folder)
    layout = place_weights(model.spec.parameters, model.spec.linear)
    write_weights(model.checkpoint, layout, file)
    place = next(weight for weight in layout.weights if weight.name == name)
    shape = model.spec.parameters[name]
    assert not place.transposed
    count = torch.Size(shape).numel()
    data = bytearray(file.read_bytes()[place.offset : place.offset + 4 * count])
    return torch.frombuffer(data, dtype=torch.float32).reshape(shape)


SAVERS = {
    "safetensors": save_as_safetensors,
    "shards": save_in_shards,
    "zip pickle": save_as_zip_pickle,
    "old pickle": save_as_old_pickle,
}


@pytest.mark.parametrize("form", SAVERS)
@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_every_form_gives_the_same_tensors(
    form: str, architecture: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    original = request.getfixturevalue(f"tiny_{architecture}_checkpoint")
    model = load(copy_checkpoint(original, tmp_path / "copy", save=SAVERS[form]))
    for name, tensor in tensors_of(original).items():
        assert torch.equal(model.checkpoint.read(name), tensor), name


@pytest.mark.parametrize("form", SAVERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_large_tensor_is_converted_some_rows_at_a_time(
    form: str, dtype: torch.dtype, tiny_gpt2_checkpoint: Path, tmp_path: Path
) -> None:
    def cast(held: Tensors) -> None:
        held.update({name: t.to(dtype) for name, t in held.items()})

    folder = copy_checkpoint(
        tiny_gpt2_checkpoint, tmp_path / "copy", change=cast, save=SAVERS[form]
    )
    checkpoint = load(folder).checkpoint
    # No multiple of a row of any, nor a divisor of their counts.
    with patch.object(tensors, "_VALUES_AT_ONCE", 150):
        for name, tensor in tensors_of(tiny_gpt2_checkpoint).items():
            wanted = tensor.to(dtype).float()
            assert torch.equal(checkpoint.read_float32(name), wanted), name


def test_parameters_saved_with_gradients_are_read(
    tiny_gpt2_checkpoint: Path, tmp_path: Path
) -> None:
    def save(tensors: Tensors, folder: Path) -> None:
        torch.save(
            {name: torch.nn.Parameter(t) for name, t in tensors.items()},
            folder / "pytorch_model.bin",
        )

    folder = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "copy", save=save)
    values = written_values(folder, TOKENS, tmp_path / "data")
    assert torch.equal(values, tensors_of(tiny_gpt2_checkpoint)[TOKENS])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floats_become_the_nearest_float32(
    dtype: torch.dtype, tiny_gpt2_checkpoint: Path, tmp_path: Path
) -> None:
    def cast(held: Tensors) -> None:
        held.update({name: t.to(dtype) for name, t in held.items()})

    folder = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "copy", change=cast)
    values = written_values(folder, TOKENS, tmp_path / "data")
    assert torch.equal(values, tensors_of(tiny_gpt2_checkpoint)[TOKENS].to(dtype).float())


def test_names_without_the_head_and_old_buffers_are_understood(
    tiny_gpt2_checkpoint: Path, tmp_path: Path
) -> None:
    def headless(tensors: Tensors) -> None:
        for name in list(tensors):
            tensors[name.removeprefix("transformer.")] = tensors.pop(name)
        for layer in range(4):
            tensors[f"h.{layer}.attn.bias"] = torch.ones(1, 1, 32, 32, dtype=torch.uint8)
            tensors[f"h.{layer}.attn.masked_bias"] = torch.tensor(-1e4)

    folder = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "copy", change=headless)
    read = load(folder).checkpoint.read(TOKENS)
    assert torch.equal(read, tensors_of(tiny_gpt2_checkpoint)[TOKENS])


def test_old_rotary_frequencies_are_ignored(tiny_llama_checkpoint: Path, tmp_path: Path) -> None:
    def headless(tensors: Tensors) -> None:
        for name in [n for n in tensors if n.startswith("model.")]:
            tensors[name.removeprefix("model.")] = tensors.pop(name)
        tensors["layers.0.self_attn.rotary_emb.inv_freq"] = torch.ones(5)

    load(copy_checkpoint(tiny_llama_checkpoint, tmp_path / "copy", change=headless))


def test_a_buffer_is_ignored_only_where_it_belongs(
    tiny_gpt2_checkpoint: Path, tmp_path: Path
) -> None:
    def add(tensors: Tensors) -> None:
        tensors["transformer.h.0.mlp.bias"] = torch.ones(3)

    folder = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "copy", change=add)
    assert "weights that the model doesn't read; got transformer.h.0.mlp.bias" in error_of(folder)


def test_a_tied_head_saved_twice_is_passed_over_only_if_it_is_the_same(
    tiny_gpt2_checkpoint: Path, tmp_path: Path
) -> None:
    def same(tensors: Tensors) -> None:
        tensors["lm_head.weight"] = tensors[TOKENS].clone()

    def other(tensors: Tensors) -> None:
        tensors["lm_head.weight"] = tensors[TOKENS].clone()
        tensors["lm_head.weight"][3, 5] += 1e-3

    def narrower(tensors: Tensors) -> None:
        tensors["lm_head.weight"] = tensors[TOKENS].half()

    model = load(copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "same", change=same))
    assert model.spec.ties_embeddings
    assert "lm_head.weight" not in model.checkpoint.tensors
    for change in (other, narrower):
        folder = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / change.__name__, change=change)
        model = load(folder)
        # As transformers does: both are kept.
        assert not model.spec.ties_embeddings
        stored = tensors_of(folder)["lm_head.weight"]
        assert torch.equal(model.checkpoint.read("lm_head.weight"), stored)
        assert any("lm_head.weight holds other values" in note for note in model.notices)


def remove(tensors: Tensors) -> None:
    del tensors["transformer.h.1.mlp.c_fc.weight"]


def reshape(tensors: Tensors) -> None:
    name = "transformer.h.1.mlp.c_fc.weight"
    tensors[name] = tensors[name].t().contiguous()


def quantize(tensors: Tensors) -> None:
    name = "transformer.h.1.mlp.c_fc.weight"
    tensors[name] = (tensors[name] * 10).to(torch.int8)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (remove, "lacks weights; got no transformer.h.1.mlp.c_fc.weight; expected the 52 tensors"),
        (reshape, "has the wrong shape; got [52, 24]; expected [24, 52]"),
        (quantize, "is quantized or not floating point; got I8; expected F64, F32, F16 or BF16"),
    ],
)
@pytest.mark.parametrize("form", ["safetensors", "zip pickle"])
def test_unfit_tensors_are_named(
    change: Callable[[Tensors], None],
    said: str,
    form: str,
    tiny_gpt2_checkpoint: Path,
    tmp_path: Path,
) -> None:
    save = SAVERS[form]
    folder = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "copy", change=change, save=save)
    assert said.replace("I8", "int8" if form == "zip pickle" else "I8") in error_of(folder)


def cut(file: Path, share: float) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * share)])


@pytest.mark.parametrize("form", ["safetensors", "zip pickle", "old pickle"])
@pytest.mark.parametrize("share", [0.999, 0.5, 0.0005])
def test_truncated_weights_are_refused(
    form: str, share: float, tiny_gpt2_checkpoint: Path, tmp_path: Path
) -> None:
    folder = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "copy", save=SAVERS[form])
    file = next(f for f in folder.iterdir() if f.suffix != ".json")
    cut(file, share)
    assert f"{file.name} is damaged, cut short or something else; got" in error_of(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "{} is empty; expected weights"),
        (b"<!DOCTYPE html><title>404</title>", "{} is damaged, cut short or something else"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "{} isn't the weights yet; got a Git LFS",
        ),
    ],
)
def test_what_stands_in_for_weights_is_refused(
    name: str, data: bytes, said: str, tiny_gpt2_checkpoint: Path, tmp_path: Path
) -> None:
    def save(tensors: Tensors, folder: Path) -> None:
        (folder / name).write_bytes(data)

    folder = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "copy", save=save)
    assert said.format(name) in error_of(folder)


def test_a_file_that_changes_after_it_was_looked_at_is_told(
    tiny_gpt2_checkpoint: Path, tmp_path: Path
) -> None:
    folder = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "copy")
    model = load(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="damaged, cut short or something else"):
        model.checkpoint.read(TOKENS)


class TestPickles:
    """Nothing in a pickle runs, whatever its form."""

    @pytest.mark.parametrize("zipped", [True, False])
    def test_code_among_tensors_is_named_and_never_runs(
        self, zipped: bool, tiny_gpt2_checkpoint: Path, tmp_path: Path
    ) -> None:
        trace = tmp_path / "it-ran"

        def save(tensors: Tensors, folder: Path) -> None:
            torch.save(
                {**tensors, "more": RunsCode(trace)},
                folder / "pytorch_model.bin",
                _use_new_zipfile_serialization=zipped,
            )

        folder = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "copy", save=save)
        line = error_of(folder)
        assert "pytorch_model.bin holds more than tensors and was not loaded" in line
        assert "the Python object posix.system" in line
        assert not trace.exists()
        # The payload is a real one: the standard library's unpickler runs it.
        pickle.loads(pickle.dumps(RunsCode(trace)))  # noqa: S301
        assert trace.exists()

    @pytest.mark.parametrize("protocol", [0, 2, 5])
    def test_a_bare_pickle_never_runs(
        self, protocol: int, tiny_gpt2_checkpoint: Path, tmp_path: Path
    ) -> None:
        trace = tmp_path / "it-ran"

        def save(tensors: Tensors, folder: Path) -> None:
            data = pickle.dumps(RunsCode(trace), protocol=protocol)
            (folder / "pytorch_model.bin").write_bytes(data)

        error_of(copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "copy", save=save))
        assert not trace.exists()

    def test_code_in_a_shard_never_runs(self, tiny_gpt2_checkpoint: Path, tmp_path: Path) -> None:
        trace = tmp_path / "it-ran"

        def save(tensors: Tensors, folder: Path) -> None:
            torch.save({**tensors, "more": RunsCode(trace)}, folder / "part.safetensors.bin")
            index = {"weight_map": dict.fromkeys(tensors, "part.safetensors.bin")}
            (folder / "model.safetensors.index.json").write_text(json.dumps(index))

        line = error_of(copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "copy", save=save))
        assert "part.safetensors.bin holds more than tensors" in line
        assert not trace.exists()

    @pytest.mark.parametrize(
        ("content", "said"),
        [
            ({"model": {"a": torch.ones(2)}}, "isn't a state dict; got dict under 'model'"),
            ([torch.ones(2)], "isn't a state dict; got list"),
            ({7: torch.ones(2)}, "isn't a state dict; got Tensor under 7"),
            ({"a": torch.ones(2).to_sparse()}, "a in pytorch_model.bin is no plain tensor"),
            ({"a": torch.ones(2, device="meta")}, "a in pytorch_model.bin is no plain tensor"),
        ],
    )
    def test_what_is_no_state_dict_is_told(
        self, content: Any, said: str, tiny_gpt2_checkpoint: Path, tmp_path: Path
    ) -> None:
        def save(tensors: Tensors, folder: Path) -> None:
            torch.save(content, folder / "pytorch_model.bin")

        folder = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "copy", save=save)
        assert said in error_of(folder)


class TestShards:
    @pytest.fixture
    def sharded(self, tiny_gpt2_checkpoint: Path, tmp_path: Path) -> Path:
        return copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "copy", save=save_in_shards)

    def test_a_missing_shard_is_named(self, sharded: Path) -> None:
        (sharded / "model-00002-of-00002.safetensors").unlink()
        line = error_of(sharded)
        assert "the checkpoint copy is partial; got no model-00002-of-00002.safetensors" in line

    @pytest.mark.parametrize(
        "place",
        [
            "../copy/model-00001-of-00002.safetensors",
            "/etc/passwd",
            "..",
            "a/b",
            "C:x",
            "",
            None,
            3,
        ],
    )
    def test_an_index_can_not_climb_out(self, place: object, sharded: Path) -> None:
        index = sharded / "model.safetensors.index.json"
        data = json.loads(index.read_text())
        data["weight_map"][TOKENS] = place
        index.write_text(json.dumps(data))
        assert "names a file outside the checkpoint" in error_of(sharded)

    @pytest.mark.parametrize("data", ["{}", '{"weight_map": []}', '{"weight_map": {}}'])
    def test_an_empty_index_is_told(self, data: str, sharded: Path) -> None:
        (sharded / "model.safetensors.index.json").write_text(data)
        assert "lists no shards; expected a weight_map" in error_of(sharded)

    def test_a_tensor_in_two_shards_is_told(self, sharded: Path) -> None:
        for number, file in enumerate(sharded.glob("model-*")):
            if file.suffix == ".safetensors":
                save_file({TOKENS: torch.full((2,), float(number))}, file)
        assert f"the checkpoint copy holds {TOKENS} twice" in error_of(sharded)


class TestConfig:
    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "config.json in copy can't be read; got an empty file; expected a JSON object"),
            ("{", "can't be read; got Expecting property name enclosed in double quotes at line 1"),
            ("// note\n{}", "got Expecting value at line 1, column 1: '// note'; expected"),
            ('{"a": 1,\n"b": }', """got Expecting value at line 2, column 6: '"b": }'; expected"""),
            ("[1, 2]", "config.json in copy can't be read; got a list; expected a JSON object"),
            ("null", "config.json in copy can't be read; got null; expected a JSON object"),
            ("[" * 100_000, "can't be read; got brackets nested too deeply"),
            ('{"a":' * 100_000, "can't be read; got brackets nested too deeply"),
            ('{"n_layer": ' + "9" * 5000 + "}", "can't be read; got a number of too many digits"),
            ("\udcff", "can't be read; got text that is not UTF-8, at byte 0"),
            ("\udcff\udcfe{\0}\0", "can't be read; got text that is UTF-16, not UTF-8"),
            ("{}", "config.json in copy names no architecture; got no model_type; expected"),
            ('{"model_type": ["gpt2"]}', "config.json in copy names no architecture"),
            (
                '{"model_type": "t5"}',
                "this architecture is not supported yet; got model_type 't5'; expected one of b",
            ),
        ],
    )
    def test_what_is_no_config_is_told(
        self, text: str, said: str, tiny_gpt2_checkpoint: Path, tmp_path: Path
    ) -> None:
        folder = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "copy")
        (folder / "config.json").write_text(text, encoding="utf-8", errors="surrogateescape")
        assert said in error_of(folder)

    @pytest.mark.parametrize(
        ("config", "said"),
        [
            ({"n_head": 5}, "doesn't make a model; got `embed_dim` must be divisible by num_heads"),
            ({"n_head": 0}, "doesn't make a model; got a size of 0"),
            ({"n_head": -3}, "gives a size that can't be; got heads -3; expected a whole number"),
            ({"n_head": "3"}, "doesn't make a model; got Field 'n_head' expected int"),
            ({"n_layer": 5}, "lacks weights; got no transformer.h.4.attn.c_attn.bias"),
            ({"n_layer": 3}, "weights that the model doesn't read; got transformer.h.3.attn"),
            ({"n_layer": 10**6}, "got layers 1000000; expected a whole number from 1 to 1000"),
            ({"vocab_size": 10**9}, "got [101, 24]; expected [1000000000, 24]"),
            ({"vocab_size": 10**12}, "got vocab 1000000000000"),
            ({"n_positions": 2 * 10**9}, "got [32, 24]; expected [2000000000, 24]"),
            ({"activation_function": "os.system"}, "got 'os.system', which transformers doesn't"),
            ({"tie_word_embeddings": False}, "lacks weights; got no lm_head.weight"),
            ({"add_cross_attention": True}, "reads a second sequence through cross-attention"),
            ({"quantization_config": {"quant_method": "hqq"}}, "copy is quantized; got hqq"),
            ({"quantization_config": []}, "copy is quantized; got quantization_config"),
            ({"dtype": "os.system"}, "doesn't make a model"),
        ],
    )
    def test_gpt2_that_contradicts_itself(
        self, config: dict[str, Any], said: str, tiny_gpt2_checkpoint: Path, tmp_path: Path
    ) -> None:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        line = error_of(copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "copy", config=config))
        assert said in line
        # Sizes are compared before anything of such a size is made.
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown < 300 * 1024, f"{grown} KiB"

    @pytest.mark.parametrize(
        ("config", "said"),
        [
            ({"num_attention_heads": 5}, "doesn't make a model"),
            ({"num_key_value_heads": 3}, "contradicts itself; got 4 heads over 3 key heads"),
            ({"num_key_value_heads": 0}, "gives a size that can't be; got kv_heads 0"),
            ({"hidden_size": 10**9, "num_attention_heads": 8}, "has the wrong shape"),
            ({"head_dim": 7}, "doesn't make a model; got RoPE requires an even rotary dimension"),
            (
                {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}},
                "rotary positions change with the length of the text; got rope_type 'dynamic'",
            ),
            ({"rope_parameters": {"rope_type": "spiral"}}, "doesn't make a model; got 'spiral'"),
            ({"hidden_act": "wiggle"}, "doesn't make a model; got 'wiggle'"),
            ({"attention_bias": True}, "lacks weights"),
        ],
    )
    def test_llama_that_contradicts_itself(
        self, config: dict[str, Any], said: str, tiny_llama_checkpoint: Path, tmp_path: Path
    ) -> None:
        folder = copy_checkpoint(tiny_llama_checkpoint, tmp_path / "copy", config=config)
        assert said in error_of(folder)

    def test_code_beside_the_config_never_runs(
        self, tiny_gpt2_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # A person at a terminal isn't asked either: the answer might be yes.
        monkeypatch.setattr("builtins.input", lambda *_: "y")
        trace = tmp_path / "it-ran"
        config = {
            "auto_map": {
                "AutoConfig": "modeling_mine.MyConfig",
                "AutoModelForCausalLM": "modeling_mine.MyModel",
            },
            "attn_implementation": "somebody/kernel",
            "trust_remote_code": True,
        }
        code = f"open({str(trace)!r}, 'w').close()\nclass MyConfig: ...\nclass MyModel: ...\n"
        for name in ("known", "unknown"):
            model_type = {"known": "gpt2", "unknown": "mine"}[name]
            folder = copy_checkpoint(
                tiny_gpt2_checkpoint, tmp_path / name, config=config | {"model_type": model_type}
            )
            (folder / "modeling_mine.py").write_text(code)
        model = load(tmp_path / "known")
        assert type(model.spec.config).__module__.startswith("transformers.")
        assert model.spec.config._attn_implementation == "eager"
        assert "this architecture is not supported yet" in error_of(tmp_path / "unknown")
        assert not trace.exists()

    @pytest.mark.parametrize("architecture", ["gpt2", "llama"])
    def test_settings_of_training_don_t_change_what_a_pass_returns(
        self, architecture: str, request: pytest.FixtureRequest, tmp_path: Path
    ) -> None:
        original = request.getfixturevalue(f"tiny_{architecture}_checkpoint")
        config = {
            "return_dict": False,
            "output_attentions": True,
            "output_hidden_states": True,
            "use_cache": False,
            "gradient_checkpointing": True,
            "dtype": "float16",
        }
        odd = load(copy_checkpoint(original, tmp_path / "copy", config=config))
        plain = load(original)
        assert odd.shape == plain.shape
        captured = capture_empty(odd.spec)
        outputs = captured(*example_inputs(odd.shape))
        assert len(outputs) == len(captured.state.output_names)
        assert {t.dtype for t in outputs} == {torch.float32}

    def test_a_broken_tokenizer_is_told(self, tiny_gpt2_checkpoint: Path, tmp_path: Path) -> None:
        folder = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "copy")
        (folder / "tokenizer_config.json").write_text("{}")
        (folder / "tokenizer.json").write_text('{"version": "1.0", "mod')
        assert "tokenizer.json in copy can't be read" in error_of(folder)
        (folder / "tokenizer.json").unlink()
        assert load(folder).tokenizer_files == []


def test_names_from_the_file_can_not_reach_the_terminal(
    tiny_gpt2_checkpoint: Path, tmp_path: Path
) -> None:
    def add(tensors: Tensors) -> None:
        tensors["\x1b[2Jgone\r\nerror: all is well"] = torch.ones(1)

    folder = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "copy", change=add)
    assert "\N{REPLACEMENT CHARACTER}[2Jgone error: all is well" in error_of(folder)


def test_a_checkpoint_without_weights_is_told(tiny_gpt2_checkpoint: Path, tmp_path: Path) -> None:
    folder = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "copy", save=lambda *_: None)
    line = error_of(folder)
    assert f"no weights in {folder}; expected model.safetensors or pytorch_model.bin" in line
