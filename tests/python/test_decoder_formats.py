"""Decoders of transformers, converted by their names alone: a step with an explicit past."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from checkpoint_files import checked_line
from conftest import save_random
from greedy_text import empty_past, generated, padded_texts, stepped
from safetensors.torch import save_file
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    BertLMHeadModel,
    BloomConfig,
    FalconConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MambaConfig,
    MambaForCausalLM,
    MistralConfig,
    OPTConfig,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen3Config,
    T5Config,
    T5ForConditionalGeneration,
)

import oriel
from oriel import open_module
from oriel.cli import main
from oriel.errors import ModuleError
from oriel.modules.convert import ConvertOptions, convert
from oriel.modules.export_module import ModuleExportReport
from oriel.modules.named_model import is_model, model_spec

VOCAB = 401
"""The embedding is no small constant: exporters write a second copy of those, transposed."""
SMALL: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "bos_token_id": 1,
    "eos_token_id": 1,
}
LLAMA = SMALL | {"intermediate_size": 36, "num_key_value_heads": 2, "max_position_embeddings": 40}
GPT2 = GPT2Config(
    vocab_size=VOCAB, n_embd=24, n_layer=2, n_head=3, n_positions=40, bos_token_id=1, eos_token_id=1
)
CONFIGS: dict[str, PreTrainedConfig] = {
    "gpt2": GPT2,
    "llama": LlamaConfig(**LLAMA),
    # Sees 3 tokens back: the past is longer.
    "mistral": MistralConfig(**LLAMA | {"sliding_window": 3}),
    # Norms of queries and keys, and heads that aren't hidden_size / heads wide.
    "qwen3": Qwen3Config(**LLAMA | {"head_dim": 10}),
    # Takes no positions, and gets them from the mask.
    "opt": OPTConfig(
        **SMALL | {"ffn_dim": 36, "word_embed_proj_dim": 24, "max_position_embeddings": 40}
    ),
    # Takes no positions, and adds their distance to the scores.
    "bloom": BloomConfig(vocab_size=VOCAB, hidden_size=24, n_layer=2, n_head=4),
    # One head of keys for all.
    "falcon": FalconConfig(**SMALL),
    "gpt_neox": GPTNeoXConfig(**SMALL | {"intermediate_size": 36}),
}


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in made:
            made_of: Callable[..., PreTrainedModel] = AutoModelForCausalLM.from_config
            model = made_of(CONFIGS[name])
            made[name] = save_random(model, tmp_path_factory.mktemp("decoders") / name)
        return made[name]

    return make


def stock(folder: Path) -> PreTrainedModel:
    """Load it as anyone does, with the attention that transformers chooses."""
    load: Callable[..., PreTrainedModel] = AutoModelForCausalLM.from_pretrained
    model = load(folder)
    model.train(False)
    return model


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_a_step_behind_a_past_gives_what_the_whole_text_gives(
    name: str, folder_of: Callable[[str], Path]
) -> None:
    folder = folder_of(name)
    spec = model_spec(str(folder)).spec
    step: Any = spec.build()
    ids, mask = padded_texts(VOCAB)
    call: Any = spec.inputs()
    places = (mask.cumsum(1) - 1).clamp(min=0)
    empty: Any = spec.cases["two texts from their beginning, one padded"]()
    past = empty["past_key_values"]
    parts = []
    with torch.no_grad():
        for first, end in ((0, 3), (3, 5), (5, 6)):
            given = None if call["position_ids"] is None else places[:, first:end]
            found = step(ids[:, first:end], mask[:, :end], given, past)
            past = found["present"]
            parts.append(found["logits"])
        known = {} if call["position_ids"] is None else {"position_ids": places}
        truth = stock(folder)(ids, attention_mask=mask, **known).logits
    got = torch.cat(parts, 1)
    # Nobody reads what stands at padding.
    torch.testing.assert_close(got[mask.bool()], truth[mask.bool()], rtol=1e-4, atol=2e-5)


FORMATS = {"gpt2": ("ts", "pt2", "onnx"), "llama": ("ts", "pt2")}
HEADS = {"gpt2": (3, 8), "llama": (2, 6)}
"""Heads of keys and their size."""
Exported = tuple[ModuleExportReport, PreTrainedModel]


@pytest.fixture(scope="module")
def export_of(
    folder_of: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Exported]:
    made: dict[str, Exported] = {}

    def make(name: str) -> Exported:
        if name not in made:
            folder, out = folder_of(name), tmp_path_factory.mktemp("converted") / name
            options = ConvertOptions(FORMATS[name], out)
            report = convert(model_spec(str(folder)), None, options, lambda _: None)
            assert report.passed
            made[name] = report, stock(folder)
        return made[name]

    return make


def file_of(report: ModuleExportReport, name: str) -> Path:
    (file,) = [each.file for each in report.files if each.format == name]
    assert file is not None
    return file


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_generates_what_transformers_generates(
    name: str, export_of: Callable[[str], Exported]
) -> None:
    report, model = export_of(name)
    start = padded_texts(VOCAB)
    truth = generated(model, *start, 10)
    assert truth[0] != truth[1] and len({token for row in truth for token in row}) > 3
    past = empty_past(2, 2, *HEADS[name])
    for form in FORMATS[name]:
        assert stepped(open_module(file_of(report, form)), past, start, 10) == truth, form


@pytest.mark.parametrize("name", FORMATS)
def test_each_file_is_dynamic_by_the_first_way_and_verified_on_every_kind_of_past(
    name: str, export_of: Callable[[str], Exported]
) -> None:
    for file in export_of(name)[0].files:
        # TorchScript's compiler reads none of transformers' models.
        assert file.way == {"ts": "trace, freeze", "pt2": "torch.export"}.get(file.format, "dynamo")
        assert not file.fixed_sizes
        sizes = [(case.sizes[0], case.sizes[1]) for case in file.cases]
        assert sizes == [
            ([2, 3], [2, 8]),
            ([3, 5], [3, 13]),
            ([1, 1], [1, 2]),
            ([2, 6], [2, 6]),
            ([2, 1], [2, 7]),
            ([1, 1], [1, 1]),
        ]


def test_the_graph_has_the_names_of_the_ecosystem_and_each_weight_once(
    export_of: Callable[[str], Exported],
) -> None:
    report, model = export_of("gpt2")
    graph = onnx.load(file_of(report, "onnx")).graph
    named = {
        value.name: [dim.dim_param or dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }
    new, past = ["batch_size", "sequence_length"], "past_sequence_length"
    total = f"{past} + sequence_length"
    pairs = [f"{layer}.{part}" for layer in (0, 1) for part in ("key", "value")]
    assert named == {
        "input_ids": new,
        "attention_mask": ["batch_size", total],
        "position_ids": new,
        **{f"past_key_values.{pair}": ["batch_size", 3, past, 8] for pair in pairs},
        "logits": [*new, VOCAB],
        **{f"present.{pair}": ["batch_size", 3, total, 8] for pair in pairs},
    }
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    held = sum(len(tensor.raw_data) for tensor in graph.initializer)
    # The tied matrix is there once; the rest is constants of a few bytes.
    assert abs(held - weights) < VOCAB * 24 * 4 / 4


def test_a_mask_that_does_not_fit_the_past_is_refused(
    export_of: Callable[[str], Exported],
) -> None:
    report, _ = export_of("gpt2")
    opened = open_module(file_of(report, "ts"))
    ids, mask = padded_texts(VOCAB)

    def too_long(given: Tensor, mask: Tensor, *rest: object) -> object:
        return opened(given, torch.cat([mask, mask[:, :1]], 1), *rest)

    with pytest.raises(ModuleError) as raised:
        stepped(too_long, empty_past(2, 2, *HEADS["gpt2"]), (ids, mask), 1)
    assert checked_line(str(raised.value)) == (
        "the input attention_mask doesn't fit; got int64 [2, 7]; expected int64 [batch_size, "
        "past_sequence_length + sequence_length] with {'batch_size': 2, 'sequence_length': 6, "
        "'past_sequence_length': 0}"
    )


def test_the_document_calls_it_as_it_is(
    export_of: Callable[[str], Exported], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report, model = export_of("gpt2")
    text = (Path(__file__).parents[2] / "docs" / "modules.md").read_text(encoding="utf-8")
    code = text.partition("```python decoder\n")[2].partition("```")[0]
    (tmp_path / "exported").symlink_to(report.folder)
    monkeypatch.chdir(tmp_path)
    ids, mask = padded_texts(VOCAB)
    past = empty_past(2, 2, *HEADS["gpt2"])
    space: dict[str, Any] = {"oriel": oriel, "ids": ids, "mask": mask, "past": past}
    exec(code, space | {"places": (mask.cumsum(1) - 1).clamp(min=0)}, space)  # noqa: S102
    assert space["token"].tolist() == [row[0] for row in generated(model, ids, mask, 1)]
    assert space["past"][1]["key"].shape == (2, 3, 6, 8)


WITHOUT_TRANSFORMERS = """
import sys, torch
from safetensors.torch import load_file
sys.modules["transformers"] = None
tensors = load_file(sys.argv[1])
given = [tensors[f"in{at}"] for at in range(len(tensors) - 1)]
program, script = torch.export.load(sys.argv[2]).module(), torch.jit.load(sys.argv[3])
for run in (program, script, torch.jit.optimize_for_inference(script)):
    with torch.no_grad():
        logits = run(*given)[0]
    torch.testing.assert_close(logits, tensors["logits"], rtol=1e-4, atol=2e-5)
"""


def test_files_run_where_transformers_is_not_installed(
    export_of: Callable[[str], Exported], tmp_path: Path
) -> None:
    report, model = export_of("llama")
    ids, mask = padded_texts(VOCAB)
    places = (mask.cumsum(1) - 1).clamp(min=0)
    with torch.no_grad():
        logits = model(ids[1:], attention_mask=mask[1:], position_ids=places[1:]).logits
    past = [torch.zeros(1, 2, 0, 6) for _ in range(4)]
    given = [ids[1:], mask[1:], places[1:], *past]
    tensors = {f"in{at}": tensor.contiguous() for at, tensor in enumerate(given)}
    save_file({**tensors, "logits": logits.contiguous()}, tmp_path / "case.safetensors")
    files = [file_of(report, name) for name in ("pt2", "ts")]
    given_to = [str(file) for file in (tmp_path / "case.safetensors", *files)]
    command = [sys.executable, "-c", WITHOUT_TRANSFORMERS, *given_to]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_torchscript_is_told_to_be_deprecated(export_of: Callable[[str], Exported]) -> None:
    (note,) = export_of("llama")[0].metadata["notes"]
    assert note.startswith("ts: ") and "deprecated" in note and "pt2" in note


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (MambaConfig(vocab_size=VOCAB, hidden_size=24, num_hidden_layers=1), "another cache"),
        (BertConfig(**SMALL | {"intermediate_size": 36}), "another cache"),
        (T5Config(vocab_size=VOCAB, d_model=24, num_layers=1), "reads one text and writes another"),
    ],
    ids=lambda value: getattr(value, "model_type", ""),
)
def test_a_model_without_such_a_cache_is_refused(
    config: PreTrainedConfig, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classes = {"mamba": MambaForCausalLM, "bert": BertLMHeadModel, "t5": T5ForConditionalGeneration}
    model: PreTrainedModel = classes[config.model_type](config)
    folder, out = save_random(model, tmp_path / config.model_type), tmp_path / "out"
    assert main(["convert", str(folder), "--format", "ts", "--output", str(out)]) == 2
    assert not out.exists()
    assert said in checked_line(capsys.readouterr().err.strip().splitlines()[-1])


def test_the_bundled_model_has_its_name() -> None:
    assert is_model("demo")
    named = model_spec("demo")
    call: Any = named.spec.inputs()
    assert named.name == "demo" and call["input_ids"].shape == (2, 3)
    assert {tuple(pair["key"].shape[::2]) for pair in call["past_key_values"]} == {(2, 5)}
