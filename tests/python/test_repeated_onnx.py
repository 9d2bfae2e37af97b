"""ONNX of models whose layers are alike: two are traced, the others are copies, and the file is the
one that a trace of all layers gives."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import torch
from conftest import save_random
from greedy_text import empty_past, generated, padded_texts, stepped
from onnx import numpy_helper
from thorough import further
from transformers import (
    AlbertConfig,
    AlbertForMaskedLM,
    BertConfig,
    BertForMaskedLM,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    BertModel,
    DistilBertConfig,
    DistilBertForQuestionAnswering,
    ElectraConfig,
    ElectraForTokenClassification,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    ModernBertConfig,
    ModernBertForMaskedLM,
    PreTrainedModel,
    Qwen3Config,
    Qwen3ForCausalLM,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from oriel import open_module
from oriel.formats import onnx_file, repeated_onnx
from oriel.formats.format import FlatCall, WriteOptions
from oriel.modules.convert import ConvertOptions, convert, export_request
from oriel.modules.export_module import ModuleExportReport
from oriel.modules.named_model import model_spec
from oriel.modules.prepared_module import prepare
from oriel.tracing.kept_graphs import FOLDER

VOCAB = 401
ENCODER: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 48,
    "num_attention_heads": 2,
    "intermediate_size": 60,
    "max_position_embeddings": 40,
}
DECODER: dict[str, Any] = {
    "vocab_size": VOCAB,
    "hidden_size": 48,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 60,
    "max_position_embeddings": 40,
    "bos_token_id": 1,
    "eos_token_id": 1,
}


def bert(of: Callable[[BertConfig], PreTrainedModel], layers: int) -> PreTrainedModel:
    return of(BertConfig(**ENCODER, num_hidden_layers=layers))


def distil(layers: int) -> PreTrainedModel:
    config = DistilBertConfig(vocab_size=VOCAB, dim=48, n_layers=layers, n_heads=2, hidden_dim=60)
    return DistilBertForQuestionAnswering(config)


def gpt2(layers: int, **changes: Any) -> PreTrainedModel:
    sizes: dict[str, Any] = {"n_embd": 48, "n_head": 3, "n_positions": 40}
    ends: dict[str, Any] = {"bos_token_id": 1, "eos_token_id": 1}
    return GPT2LMHeadModel(GPT2Config(vocab_size=VOCAB, n_layer=layers, **sizes, **ends, **changes))


ENCODERS: dict[str, Callable[[int], PreTrainedModel]] = {
    "masked": lambda n: bert(BertForMaskedLM, n),
    "classes": lambda n: bert(BertForSequenceClassification, n),
    "token-classes": lambda n: bert(BertForTokenClassification, n),
    "answers": lambda n: bert(BertForQuestionAnswering, n),
    "features": lambda n: bert(BertModel, n),
    "roberta": lambda n: RobertaForSequenceClassification(
        RobertaConfig(**ENCODER, num_hidden_layers=n)
    ),
    "distilbert": distil,
    "electra": lambda n: ElectraForTokenClassification(
        ElectraConfig(**ENCODER, num_hidden_layers=n, embedding_size=20)
    ),
}
UNLIKE: dict[str, tuple[Callable[[int], PreTrainedModel], str]] = {
    # Every third layer sees all tokens, the others a window.
    "modernbert": (
        lambda n: ModernBertForMaskedLM(
            ModernBertConfig(
                **ENCODER, num_hidden_layers=n, pad_token_id=0, bos_token_id=1, eos_token_id=2
            )
        ),
        "layer_types in the config",
    ),
    # One layer, run several times.
    "albert": (
        lambda n: AlbertForMaskedLM(AlbertConfig(**ENCODER, num_hidden_layers=n, embedding_size=8)),
        "no list of 5 layers",
    ),
}
DECODERS: dict[str, Callable[[int], PreTrainedModel]] = {
    "gpt2": gpt2,
    "llama": lambda n: LlamaForCausalLM(LlamaConfig(**DECODER, num_hidden_layers=n)),
    "mistral": lambda n: MistralForCausalLM(
        MistralConfig(**DECODER, num_hidden_layers=n, sliding_window=3)
    ),
    # Norms of queries and keys, and heads that aren't hidden_size / heads wide.
    "qwen3": lambda n: Qwen3ForCausalLM(Qwen3Config(**DECODER, num_hidden_layers=n, head_dim=10)),
}
HEADS = {"gpt2": (3, 16), "llama": (2, 12), "mistral": (2, 12), "qwen3": (2, 10)}
DYNAMO = "dynamo"
USUAL = ("masked", "answers", "electra", "gpt2", "llama")
"""Models that represent the others in `make test`."""


def exported(model: PreTrainedModel, folder: Path) -> ModuleExportReport:
    """Save a model with random weights, and export it."""
    saved = save_random(model, folder / "model")
    report = convert(
        model_spec(str(saved)), None, ConvertOptions(("onnx",), folder / "out"), lambda _: None
    )
    assert report.passed
    return report


def only_file(report: ModuleExportReport) -> Path:
    (file,) = report.files
    assert file.file is not None
    return file.file


def way_for(layers: int) -> str:
    return repeated_onnx.REPEATED if layers > 2 else DYNAMO


def check_encoder(model: PreTrainedModel, file: Path) -> None:
    """Hold a file to transformers, on a batch and a length that no case of verification has."""
    session = onnxruntime.InferenceSession(file)
    inputs = {value.name for value in session.get_inputs()}
    draw = torch.Generator().manual_seed(1)
    feed = {
        "input_ids": torch.randint(3, VOCAB, (4, 11), generator=draw),
        "attention_mask": torch.ones((4, 11), dtype=torch.long),
        "token_type_ids": torch.zeros((4, 11), dtype=torch.long),
    }
    feed["attention_mask"][2, 6:] = 0
    feed = {name: value for name, value in feed.items() if name in inputs}
    names = [value.name for value in session.get_outputs()]
    with torch.no_grad():
        truth: Any = model.train(False)(**feed)
    got = session.run(names, {name: value.numpy() for name, value in feed.items()})
    for name, value in zip(names, got, strict=True):
        torch.testing.assert_close(torch.from_numpy(value), truth[name], rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        *((name, 3) if name in USUAL else further(name, 3) for name in ENCODERS),
        ("masked", 1),
        further("masked", 2),
        further("masked", 5),
    ],
)
def test_an_encoder_gives_what_transformers_gives(name: str, layers: int, tmp_path: Path) -> None:
    model = ENCODERS[name](layers)
    report = exported(model, tmp_path)
    assert [file.way for file in report.files] == [way_for(layers)]
    check_encoder(model, only_file(report))


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        *((name, 3) if name in USUAL else further(name, 3) for name in DECODERS),
        ("gpt2", 1),
        further("gpt2", 2),
        further("llama", 5),
    ],
)
def test_a_decoder_generates_what_transformers_generates(
    name: str, layers: int, tmp_path: Path
) -> None:
    model = DECODERS[name](layers)
    report = exported(model, tmp_path)
    assert [file.way for file in report.files] == [way_for(layers)]
    start = padded_texts(VOCAB)
    truth = generated(model.train(False), *start, 10)
    assert len({token for row in truth for token in row}) > 3
    opened = open_module(only_file(report))
    past = empty_past(layers, 2, *HEADS[name])
    assert stepped(opened, past, start, 10) == truth


@pytest.mark.parametrize("name", UNLIKE)
def test_layers_that_differ_are_all_traced(name: str, tmp_path: Path) -> None:
    make, reason = UNLIKE[name]
    model = make(5)
    report = exported(model, tmp_path)
    (file,) = report.files
    assert file.way == DYNAMO
    (left,) = file.left
    assert left.way == repeated_onnx.REPEATED and reason in left.reason
    check_encoder(model, only_file(report))
    (row,) = json.loads((tmp_path / "out" / "metadata.json").read_text())["exports"]
    assert row["way"] == DYNAMO and reason in json.dumps(row["left_ways"])


def test_a_difference_that_only_the_trace_shows_is_seen(tmp_path: Path) -> None:
    """Each layer divides its scores by its own number, which no attribute tells."""
    report = exported(gpt2(4, scale_attn_by_inverse_layer_idx=True), tmp_path)
    (file,) = report.files
    assert file.way == DYNAMO
    assert "the layers aren't alike" in file.left[0].reason


def call_of(model: PreTrainedModel, folder: Path) -> FlatCall:
    named = model_spec(str(save_random(model, folder / "model")))
    return prepare(export_request(named, None, ConvertOptions(("onnx",), folder / "out"))).call


def graph_of(file: Path) -> onnx.GraphProto:
    graph: onnx.GraphProto = onnx.load(file).graph
    return graph


def operators(graph: onnx.GraphProto) -> Counter[str]:
    return Counter(node.op_type for node in graph.node)


def large_weights(graph: onnx.GraphProto) -> Counter[bytes]:
    """Return the values of the weights, whatever they are called and however they lie."""
    held = [numpy_helper.to_array(t) for t in graph.initializer if len(t.raw_data) > 100]
    return Counter(each.T.tobytes() if each.ndim == 2 else each.tobytes() for each in held) + (
        Counter(each.tobytes() for each in held if each.ndim == 2)
    )


@pytest.mark.parametrize("name", ["masked", further("electra"), "llama"])
def test_the_graph_is_that_of_all_layers(name: str, tmp_path: Path) -> None:
    """The whole trace is torch's own exporter on all layers and true weights."""
    call = call_of((ENCODERS | DECODERS)[name](5), tmp_path)
    options = WriteOptions("{}")
    repeated_onnx.write_repeated(call, tmp_path / "repeated.onnx", options)
    onnx_file.write_dynamo(call, tmp_path / "whole.onnx", options)
    one, other = (graph_of(tmp_path / f"{each}.onnx") for each in ("repeated", "whole"))
    assert [v.name for v in (*one.input, *one.output)] == [
        v.name for v in (*other.input, *other.output)
    ]
    assert [v.type for v in (*one.input, *one.output)] == [
        v.type for v in (*other.input, *other.output)
    ]
    assert operators(one) == operators(other)
    assert large_weights(one) == large_weights(other)


def test_the_graph_is_that_of_a_trace_of_five_layers(tmp_path: Path) -> None:
    """GPT-2's own matrices are written as MatMul, which the other way doesn't do."""
    call = call_of(gpt2(5), tmp_path)
    make: Any = call.layered
    traced = repeated_onnx.trace_layers(make.func(*make.args, kept=5), None)
    repeated_onnx.write_repeated(call, tmp_path / "repeated.onnx", WriteOptions("{}"))
    found = operators(graph_of(tmp_path / "repeated.onnx"))
    assert found == Counter(node.op_type for node in traced.graph)
    assert found["MatMul"] == 5 * 6 + 1 and not found["Gemm"]


def test_weights_have_their_names_and_a_tied_one_is_there_once(tmp_path: Path) -> None:
    model = gpt2(3)
    graph = graph_of(only_file(exported(model, tmp_path)))
    held = {t.name: numpy_helper.to_array(t) for t in graph.initializer if len(t.raw_data) > 100}
    named = dict(model.named_parameters(remove_duplicate=False))
    assert len({id(parameter) for parameter in named.values()}) == len(held)
    for name, values in held.items():
        torch.testing.assert_close(
            torch.from_numpy(values.copy()), named[name.removeprefix("model.model.")].detach()
        )


Change = Callable[[Any], None]


def read_another_layer(model: Any) -> None:
    """Let one layer read another one's weight."""
    inputs = {value.name: value for value in model.graph.inputs}
    own, other = (f"model.bert.encoder.layer.{n}.output.dense.weight" for n in (2, 1))
    for node, index in list(inputs[own].uses()):
        node.replace_input_with(index, inputs[other])


def lose_a_layer(model: Any) -> None:
    """Let the last layer's first reader of the stream skip the layer before it."""
    values = {v.name: v for node in model.graph for v in node.outputs}
    for node, index in list(values["layer_1_resid_post"].uses()):
        node.replace_input_with(index, values["layer_0_resid_post"])


@pytest.mark.parametrize("change", [read_another_layer, lose_a_layer])
def test_a_wrong_repetition_is_caught_and_left(
    change: Change, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = repeated_onnx._repeated

    def tampered(*given: Any) -> Any:
        model = make(*given)
        change(model)
        return model

    monkeypatch.setattr(repeated_onnx, "_repeated", tampered)
    model = bert(BertForMaskedLM, 4)
    report = exported(model, tmp_path)
    (file,) = report.files
    assert file.way == DYNAMO
    assert "the file's logits is not the module's" in file.left[0].reason
    check_encoder(model, only_file(report))


def test_large_weights_lie_beside_the_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(repeated_onnx, "MAX_ONE_FILE", 1000)
    model = bert(BertForMaskedLM, 3)
    report = exported(model, tmp_path)
    file = only_file(report)
    data = file.with_name("model.onnx_data")
    assert report.files[0].way == repeated_onnx.REPEATED
    assert [each.name for each in report.files[0].entries] == [file.name, data.name]
    weights = sum(parameter.numel() * 4 for parameter in model.parameters())
    # Each weight begins at a multiple of 64 bytes.
    assert weights <= data.stat().st_size < weights * 1.02 and file.stat().st_size < weights / 2
    check_encoder(model, file)


def test_a_graph_is_traced_once_for_a_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER, str(tmp_path / "graphs"))
    traced = []
    trace = repeated_onnx.trace_layers

    def counted(*given: Any) -> Any:
        traced.append(given)
        return trace(*given)

    monkeypatch.setattr(repeated_onnx, "trace_layers", counted)
    model = bert(BertForMaskedLM, 3)
    first = only_file(exported(model, tmp_path / "1")).read_bytes()
    assert only_file(exported(model, tmp_path / "2")).read_bytes() == first
    assert len(traced) == 1
    # Other weights, the same graph.
    with torch.no_grad():
        other = save_random(model, tmp_path / "other", seed=1)
    options = ConvertOptions(("onnx",), tmp_path / "3")
    report = convert(model_spec(str(other)), None, options, lambda _: None)
    assert len(traced) == 1
    check_encoder(BertForMaskedLM.from_pretrained(other), only_file(report))
    # Another function between the same weights.
    changed = BertForMaskedLM(BertConfig(**ENCODER, num_hidden_layers=3, hidden_act="relu"))
    report = exported(changed, tmp_path / "4")
    assert len(traced) == 2
    check_encoder(changed, only_file(report))


def test_int8_forms_and_a_simplified_file_are_made_of_it(tmp_path: Path) -> None:
    saved = save_random(bert(BertForSequenceClassification, 3), tmp_path / "model")
    options = ConvertOptions(
        ("onnx",), tmp_path / "out", precisions=("int8", "int8_static"), simplify=True
    )
    report = convert(model_spec(str(saved)), None, options, lambda _: None)
    (file,) = report.files
    assert file.way == repeated_onnx.REPEATED and file.simplification is not None
    assert file.simplification.after is not None
    # Six matrices a layer, the pooler's and the classifier's.
    for variant in file.variants:
        assert variant.error is None or "logits" in variant.error
        assert variant.nodes is not None and sum(variant.nodes.values()) >= 3 * 6


def test_an_opset_that_is_asked_for_is_written(tmp_path: Path) -> None:
    saved = save_random(gpt2(3), tmp_path / "model")
    options = ConvertOptions(("onnx",), tmp_path / "out", opset=18)
    report = convert(model_spec(str(saved)), None, options, lambda _: None)
    assert report.files[0].way == repeated_onnx.REPEATED and report.files[0].opset == 18
