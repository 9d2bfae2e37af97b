"""`oriel prove`: two artifacts of any kind on the same inputs, and the record of it."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from checkpoint_files import Tensors, checked_line, copy_checkpoint, save_as_zip_pickle, tensors_of
from conftest import save_random
from safetensors.torch import save_file
from torch import nn
from transformers import BertConfig, BertForTokenClassification
from verify_here import verify_here

from oriel.cli import main
from oriel.modules.export_module import export_module
from oriel.proof.check_record import check_record
from oriel.proof.compare import Bound, Outputs, compare_case, seen_positions
from oriel.proof.inputs import Input, ProofInputs

SPEC = """
import torch
from oriel.modules.spec import ModuleSpec

def build():
    torch.manual_seed(5)
    return torch.nn.Sequential(torch.nn.Linear(6, 9), torch.nn.Tanh(), torch.nn.Linear(9, 4))

NET = ModuleSpec(build=build, inputs=lambda: (torch.ones(3, 6),), dynamic={"input": {0: "rows"}})
"""


@pytest.fixture(autouse=True)
def run_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """test_fresh_process.py has the fresh process."""
    verify_here(monkeypatch)


def prove(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, Any]:
    """Return the exit code and the record."""
    code = main(["prove", *map(str, arguments), "--json"])
    return code, check_record(json.loads(capsys.readouterr().out), "it")


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    """Return what was printed last, the lines before being stages."""
    *stages, line = capsys.readouterr().err.rstrip().split("\n")
    assert all(stage.startswith("[") for stage in stages)
    return checked_line(line)


def outputs_of(record: Any) -> dict[tuple[str, str], Any]:
    return {(c["name"], o["name"]): o for c in record["cases"] for o in c["outputs"]}


def test_a_checkpoint_and_its_bundle_agree_on_every_activation(
    tiny_gpt2_checkpoint: Path, tiny_gpt2_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, record = prove(capsys, tiny_gpt2_checkpoint, tiny_gpt2_bundle)
    assert (code, record["verdict"], record["first_apart"]) == (0, "same", None)
    names = {name for _, name in outputs_of(record)}
    assert {"embedding_sum", "layer_1_attn_probs", "layer_3_resid_post", "logits"} <= names
    ratios = [o["norm_ratio"] for (_, name), o in outputs_of(record).items() if "_ids" not in name]
    assert all(0.999 < ratio < 1.001 for ratio in ratios)
    assert {"layer_0_lens_ids", "layer_3_lens_probs", "present.3.value"} <= names
    padded, after = record["cases"][-2:]
    masks = [
        row["source"]["values"]
        for case in (padded, after)
        for row in case["inputs"]
        if row["name"] == "attention_mask"
    ]
    assert [mask.count(0) for mask in masks] == [5, 5]
    assert {row["source"]["kind"] for row in after["inputs"]} == {"values", "output"}
    for file in record["candidate"]["files"]:
        assert file["bytes"] == (tiny_gpt2_bundle / file["path"]).stat().st_size


def test_the_first_place_where_they_part_is_told(
    tiny_gpt2_checkpoint: Path,
    tiny_gpt2_bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def scale(tensors: Tensors) -> None:
        for part in ("weight", "bias"):
            tensors[f"transformer.h.1.mlp.c_proj.{part}"] *= 3.5

    scaled = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "scaled", change=scale)
    code, record = prove(capsys, scaled, tiny_gpt2_bundle)
    assert (code, record["verdict"]) == (1, "apart")
    assert record["first_apart"]["output"] == "layer_1_mlp_output"
    found = outputs_of(record)[record["first_apart"]["case"], "layer_1_mlp_output"]
    assert found["norm_ratio"] == pytest.approx(1 / 3.5, rel=1e-4)
    main(["prove", str(scaled), str(tiny_gpt2_bundle)])
    assert "they part first at layer_1_mlp_output" in capsys.readouterr().out


def test_a_quantized_variant_is_measured_and_held_to_a_bound_that_is_given(
    quantized_gpt2_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, record = prove(capsys, quantized_gpt2_bundle, f"{quantized_gpt2_bundle}:int8")
    assert (code, record["verdict"]) == (0, "measured")
    assert record["candidate"]["variant"] == "int8"
    logits = [o for (_, name), o in outputs_of(record).items() if name == "logits"]
    assert all(o["passed"] is None and o["relative"] > 0 for o in logits)
    strict = ["--max-error", 1e-6]
    code, record = prove(capsys, quantized_gpt2_bundle, f"{quantized_gpt2_bundle}:int8", *strict)
    assert (code, record["verdict"]) == (1, "apart")


def test_texts_are_padded_and_go_on_with_the_cache(
    tiny_gpt2_bundle: Path, quantized_gpt2_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, record = prove(capsys, tiny_gpt2_bundle, quantized_gpt2_bundle)
    assert (code, record["verdict"]) == (0, "same")
    padded, after = record["cases"][-2:]
    inputs = {row["name"]: row for row in padded["inputs"]}
    values = inputs["attention_mask"]["source"]["values"]
    assert values[:5] == [0] * 5 and values.count(0) == 5, "one text is padded on the left"
    sources = {row["name"]: row["source"] for row in after["inputs"]}
    assert sources["past_key_values.0.key"] == {
        "kind": "output",
        "case": padded["name"],
        "output": "present.0.key",
    }
    # The padded text's next token stands behind its own six, not behind the padding.
    assert sources["position_ids"]["values"] == [6, 11]


def test_two_checkpoints_and_a_file_get_the_texts_of_bundles(
    tiny_gpt2_checkpoint: Path,
    tiny_gpt2_bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, of_bundles = prove(capsys, tiny_gpt2_bundle, tiny_gpt2_bundle)
    names = [case["name"] for case in of_bundles["cases"]]
    assert names[-1] == "the next token of both, with the cache"
    other = copy_checkpoint(
        tiny_gpt2_checkpoint,
        tmp_path / "other",
        change=lambda t: t["transformer.h.2.attn.c_attn.bias"].add_(0.5),
    )
    code, record = prove(capsys, tiny_gpt2_checkpoint, other)
    assert (code, record["first_apart"]["output"]) == (1, "layer_2_q")
    assert [case["name"] for case in record["cases"]] == names
    out = tmp_path / "out"
    convert = ["convert", str(tiny_gpt2_checkpoint), "--format", "onnx,pt2", "--output", str(out)]
    assert main(convert) == 0
    capsys.readouterr()
    for file in ("onnx/model.onnx", "model.pt2"):
        code, record = prove(capsys, tiny_gpt2_checkpoint, out / file)
        assert (code, record["verdict"]) == (0, "same")
        assert [case["name"] for case in record["cases"]] == names
        assert {"logits", "present.3.key"} <= {name for _, name in outputs_of(record)}
    code, record = prove(capsys, tiny_gpt2_bundle, out / "onnx" / "model.onnx")
    assert (code, record["verdict"]) == (0, "same")
    code, record = prove(capsys, other, out / "model.pt2")
    assert (code, record["first_apart"]["output"]) == (1, "logits")


def test_a_lens_that_reads_another_unembedding_is_apart(
    tiny_llama_checkpoint: Path,
    tiny_llama_bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, record = prove(capsys, tiny_llama_checkpoint, tiny_llama_bundle)
    assert (code, record["verdict"]) == (0, "same")
    other = copy_checkpoint(
        tiny_llama_checkpoint,
        tmp_path / "other",
        change=lambda t: t["lm_head.weight"].mul_(1.01),
    )
    code, record = prove(capsys, other, tiny_llama_bundle)
    found = outputs_of(record)
    case = record["cases"][0]["name"]
    assert (code, found[case, "layer_0_lens_probs"]["passed"]) == (1, False)
    assert found[case, "layer_0_resid_post"]["passed"] is True


@pytest.mark.parametrize(
    ("got", "passed"),
    [
        ([7, 3, 5], True),
        # 5 and 3 are as likely: either may stand first.
        ([7, 5, 3], True),
        ([3, 7, 5], False),
        ([7, 3, 3], False),
        ([7, 3, 9], False),
    ],
)
def test_tokens_of_a_lens_may_change_places_where_they_are_as_likely(
    got: list[int], passed: bool
) -> None:
    want = {
        "layer_0_lens_ids": torch.tensor([[[7, 3, 5, 9, 1]]]),
        "layer_0_lens_probs": torch.tensor([[[0.4, 0.2, 0.2, 0.15, 0.05]]]),
    }
    ours = {
        "layer_0_lens_ids": torch.tensor([[got]]),
        "layer_0_lens_probs": torch.tensor([[[0.4, 0.2, 0.2]]]),
    }
    found = compare_case(ProofInputs("one", {}), Outputs(ours, want, Bound()))
    ids, probs = found["outputs"]
    assert (ids["passed"], probs["passed"]) == (passed, True)
    assert probs["norm_ratio"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("got", "passed"),
    [
        ([[0, 2], [3, 1]], True),
        # In the first row 2 and 1 are as likely, in the second nothing is.
        ([[0, 1], [3, 1]], True),
        ([[0, 2], [1, 3]], False),
        ([[0, 3], [3, 1]], False),
        ([[0, 0], [3, 1]], False),
        ([[0, 4], [3, 1]], False),
    ],
)
def test_experts_may_change_places_where_they_are_as_likely(
    got: list[list[int]], passed: bool
) -> None:
    ids, probs = "layer_0_expert_ids", "layer_0_router_probs"
    want = {
        ids: torch.tensor([[[0, 2], [3, 1]]]),
        probs: torch.tensor([[[0.5, 0.2, 0.2, 0.1], [0.1, 0.3, 0.0, 0.6]]]),
    }
    ours = {**want, ids: torch.tensor([got])}
    found = compare_case(ProofInputs("one", {}), Outputs(ours, want, Bound()))
    assert [row["passed"] for row in found["outputs"]] == [passed, True]
    # Without probabilities every choice is held to the other.
    alone = Outputs({ids: ours[ids]}, {ids: want[ids]}, Bound())
    (row,) = compare_case(ProofInputs("one", {}), alone)["outputs"]
    assert row["passed"] == bool((ours[ids] == want[ids]).all())


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.first, self.second = nn.Linear(6, 9), nn.Linear(9, 4)

    def forward(self, rows: torch.Tensor, scale: torch.Tensor) -> dict[str, torch.Tensor]:
        hidden = torch.tanh(self.first(rows)) * scale[:, None]
        return {"hidden": hidden, "score": self.second(hidden)}


def exported_pair(module: nn.Module, folder: Path, formats: Sequence[str]) -> Path:
    draw = torch.Generator().manual_seed(2)
    inputs = (torch.randn(3, 6, generator=draw), torch.arange(2.0, 5.0))
    report = export_module(
        module,
        inputs,
        formats=formats,
        dynamic={"rows": {0: "rows"}, "scale": {0: "rows"}},
        out=folder,
    )
    assert report.passed
    return folder


@pytest.fixture(scope="module")
def pair_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pair") / "pair"
    return exported_pair(Pair(), folder, ("pt2", "onnx", "ts"))


def test_two_files_are_compared_on_values_within_the_example_s_range(
    pair_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, record = prove(capsys, pair_folder / "model.pt2", pair_folder / "model.onnx")
    assert (code, record["verdict"]) == (0, "same")
    assert (record["reference"]["format"], record["candidate"]["format"]) == ("pt2", "onnx")
    sizes = [case["inputs"][0]["shape"] for case in record["cases"]]
    assert len({tuple(size) for size in sizes}) == 3 and [1, 6] in sizes
    for case in record["cases"]:
        values = {row["name"]: row["source"]["values"] for row in case["inputs"]}
        assert min(values["scale"]) >= 2 and max(values["scale"]) <= 4


def test_a_file_of_another_module_is_apart_from_its_first_wrong_output_on(
    pair_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = Pair()
    with torch.no_grad():
        other.second.weight[0, 0] += 1
    folder = exported_pair(other, tmp_path / "other", ("pt2",))
    code, record = prove(capsys, pair_folder / "model.ts", folder / "model.pt2")
    assert (code, record["first_apart"]["output"]) == (1, "score")
    verdicts = {name: o["passed"] for (_, name), o in outputs_of(record).items()}
    assert verdicts == {"hidden": True, "score": False}


def test_a_spec_brings_its_own_inputs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.py").write_text(SPEC)
    spec = f"{tmp_path / 'net.py'}:NET"
    assert main(["convert", spec, "--format", "onnx", "--output", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    code, record = prove(capsys, spec, tmp_path / "out" / "model.onnx")
    assert (code, record["verdict"]) == (0, "same")
    assert record["cases"][0]["name"] == "the example"
    assert record["reference"]["kind"] == "module"


def test_an_encoder_and_its_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = BertConfig(
        vocab_size=61,
        hidden_size=24,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=36,
        max_position_embeddings=40,
    )
    folder = save_random(BertForTokenClassification(config), tmp_path / "bert")
    assert main(["convert", str(folder), "--format", "pt2", "--output", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    code, record = prove(capsys, folder, tmp_path / "out" / "model.pt2")
    assert (code, record["verdict"]) == (0, "same")
    assert [f["path"] for f in record["reference"]["files"]] == ["config.json", "model.safetensors"]


def test_anyone_s_onnx_file_is_compared_by_its_names(
    pair_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = onnx.load(pair_folder / "model.onnx")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "theirs.onnx")
    code, record = prove(capsys, pair_folder / "model.pt2", tmp_path / "theirs.onnx")
    assert (code, record["verdict"]) == (0, "same")


def test_a_record_is_enough_to_compare_again(
    pair_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    draw = torch.Generator().manual_seed(4)
    save_file(
        {"rows": torch.randn(400, 6, generator=draw), "scale": torch.rand(400, generator=draw)},
        tmp_path / "inputs.safetensors",
    )
    files = [shutil.copy(pair_folder / name, tmp_path) for name in ("model.pt2", "model.onnx")]
    written = tmp_path / "record.json"
    inputs = ["--inputs", tmp_path / "inputs.safetensors"]
    code, first = prove(capsys, *files, *inputs, "--output", written)
    assert code == 0
    assert first["cases"][0]["inputs"][0]["source"]["kind"] == "file", "too long for the record"
    code, again = prove(capsys, "--rerun", written)
    assert code == 0
    assert again["cases"][0]["inputs"] == first["cases"][0]["inputs"]
    shutil.copy(exported_pair(Pair(), tmp_path / "new", ("pt2",)) / "model.pt2", tmp_path)
    (tmp_path / "model.pt2").open("ab").write(b"\0")
    assert main(["prove", "--rerun", str(written)]) == 2
    assert "model.pt2 is not what was compared" in last_line(capsys)


def with_fixed_sizes(file: Path, target: Path, sizes: Mapping[str, int]) -> Path:
    """Save an ONNX file whose inputs and outputs have one size alone. sizes: of dynamic axes by
    name."""
    model = onnx.load(file)
    del model.metadata_props[:]
    for value in (*model.graph.input, *model.graph.output):
        for axis in value.type.tensor_type.shape.dim:
            if axis.dim_param:
                axis.dim_value = sum(sizes[part] for part in axis.dim_param.split(" + "))
    onnx.save(model, target)
    return target


def test_a_file_of_fixed_sizes_gets_inputs_of_these(
    pair_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fixed = with_fixed_sizes(pair_folder / "model.onnx", tmp_path / "fixed.onnx", {"rows": 3})
    for pair in ((fixed, pair_folder / "model.pt2"), (pair_folder / "model.pt2", fixed)):
        code, record = prove(capsys, *pair)
        assert (code, record["verdict"]) == (0, "same")
        assert {tuple(c["inputs"][0]["shape"]) for c in record["cases"]} == {(3, 6)}
        digests = [case["inputs"][0]["sha256"] for case in record["cases"]]
        assert len(set(digests)) == len(digests) == 3


def test_inputs_of_other_axes_are_refused(
    pair_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = onnx.load(pair_folder / "model.onnx")
    del model.metadata_props[:]
    model.graph.input[0].type.tensor_type.shape.dim.add().dim_value = 1
    onnx.save(model, tmp_path / "other.onnx")
    for pair in ((0, 1), (1, 0)):
        places = [str(pair_folder / "model.pt2"), str(tmp_path / "other.onnx")]
        assert main(["prove", places[pair[0]], places[pair[1]]]) == 2
        assert "another number of axes" in last_line(capsys)


def test_a_decoder_of_fixed_sizes_gets_texts_of_these(
    tiny_gpt2_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    convert = ["convert", str(tiny_gpt2_checkpoint), "--format", "onnx", "--output", str(out)]
    assert main(convert) == 0
    capsys.readouterr()
    sizes = {"batch_size": 2, "sequence_length": 3, "past_sequence_length": 5}
    fixed = with_fixed_sizes(out / "onnx" / "model.onnx", tmp_path / "fixed.onnx", sizes)
    for other in (tiny_gpt2_checkpoint, out / "onnx" / "model.onnx"):
        code, record = prove(capsys, other, fixed)
        assert (code, record["verdict"]) == (0, "same")
        names = [case["name"] for case in record["cases"]]
        told = "2 × 3 tokens behind 5 of values drawn"
        assert names == [told, f"{told}, one padded"]


def test_inputs_of_a_module_that_a_file_does_not_take_are_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "net.py").write_text(SPEC)
    spec = f"{tmp_path / 'net.py'}:NET"
    assert main(["convert", spec, "--format", "onnx", "--output", str(tmp_path / "out")]) == 0
    capsys.readouterr()
    written = tmp_path / "out" / "model.onnx"
    fixed = with_fixed_sizes(written, tmp_path / "fixed.onnx", {"rows": 3})
    code, record = prove(capsys, spec, fixed)
    assert (code, [case["name"] for case in record["cases"]]) == (0, ["the example"])
    other = with_fixed_sizes(written, tmp_path / "other.onnx", {"rows": 11})
    assert main(["prove", spec, str(other)]) == 2
    assert "other sizes than those of the module's own inputs" in last_line(capsys)


def with_data_beside(file: Path, folder: Path, location: str) -> Path:
    """Save an ONNX file with its matrices in a file beside it. ONNX Runtime wants what sizes are
    made of, such as the axes of an Unsqueeze, in the graph itself."""
    folder.mkdir()
    target = folder / "model.onnx"
    onnx.save(
        onnx.load(file),
        target,
        save_as_external_data=True,
        location=location,
        size_threshold=64,
    )
    return target


@pytest.mark.parametrize("location", ["model.onnx_data", "weights.bin"])
def test_weights_beside_an_onnx_file_are_its_files_too(
    location: str, pair_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = with_data_beside(pair_folder / "model.onnx", tmp_path / "theirs", location)
    # A record that lies beside the file is none of its files.
    written = theirs.with_name("model.onnx.proof.json")
    code, record = prove(capsys, pair_folder / "model.pt2", theirs, "--output", written)
    assert (code, record["verdict"]) == (0, "same")
    data = theirs.with_name(location)
    assert {row["path"]: row["sha256"] for row in record["candidate"]["files"]} == {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in (theirs, data)
    }
    assert prove(capsys, "--rerun", written)[0] == 0
    values = bytearray(data.read_bytes())
    values[0] ^= 1
    data.write_bytes(values)
    assert main(["prove", "--rerun", str(written)]) == 2
    line = last_line(capsys)
    assert "model.onnx is not what was compared" in line and location in line


def test_weights_outside_of_an_onnx_file_s_folder_are_refused(
    pair_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    theirs = with_data_beside(pair_folder / "model.onnx", tmp_path / "theirs", "weights.bin")
    model = onnx.load(theirs, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = "../weights.bin"
    theirs.write_bytes(model.SerializeToString())
    shutil.copy(theirs.with_name("weights.bin"), tmp_path)
    assert main(["prove", str(pair_folder / "model.pt2"), str(theirs)]) == 2
    assert "a weight that can't be read safely" in last_line(capsys)


def test_cases_with_a_cache_are_made_again(
    tiny_gpt2_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = tmp_path / "record.json"
    same = shutil.copytree(tiny_gpt2_bundle, tmp_path / "copy")
    _, first = prove(capsys, tiny_gpt2_bundle, same, "--output", written)
    moved = same.rename(tmp_path / "moved")
    code, again = prove(capsys, tiny_gpt2_bundle, moved, "--rerun", written)
    assert code == 0
    assert [c["inputs"] for c in again["cases"]] == [c["inputs"] for c in first["cases"]]


def test_weights_are_compared_tensor_by_tensor(
    tiny_gpt2_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pickled = copy_checkpoint(tiny_gpt2_checkpoint, tmp_path / "bin", save=save_as_zip_pickle)
    code, record = prove(capsys, tiny_gpt2_checkpoint, pickled / "pytorch_model.bin")
    assert (code, record["verdict"]) == (0, "same")
    assert {name for _, name in outputs_of(record)} == set(tensors_of(tiny_gpt2_checkpoint))
    other = copy_checkpoint(
        tiny_gpt2_checkpoint,
        tmp_path / "other",
        change=lambda t: t["transformer.h.2.attn.c_attn.bias"].add_(0.5),
    )
    code, record = prove(capsys, tiny_gpt2_checkpoint, other / "model.safetensors")
    assert (code, record["first_apart"]["output"]) == (1, "transformer.h.2.attn.c_attn.bias")


def test_weights_inside_of_a_wrapper_have_the_same_names(
    tiny_gpt2_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tensors = tensors_of(tiny_gpt2_checkpoint)
    file = tmp_path / "model.safetensors"
    save_file({f"model.{name}": tensor.clone() for name, tensor in tensors.items()}, file)
    for pair in ((tiny_gpt2_checkpoint, file), (file, tiny_gpt2_checkpoint)):
        code, record = prove(capsys, *pair)
        assert (code, record["verdict"], record["not_compared"]) == (0, "same", [])
        assert {name for _, name in outputs_of(record)} == set(tensors)


@pytest.mark.skipif(sys.platform == "darwin", reason="Core ML runs there")
def test_a_folder_of_core_ml_says_where_it_runs(
    pair_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "model.mlpackage").mkdir()
    places = [str(pair_folder / "model.pt2"), str(tmp_path / "model.mlpackage")]
    assert main(["prove", *places]) == 2
    line = last_line(capsys)
    assert "can't be compared on this machine" in line and "macOS" in line


def case_of_padding(mask: Sequence[Sequence[int]]) -> ProofInputs:
    seen = torch.tensor(mask)
    tensors = {
        "input_ids": torch.zeros_like(seen),
        "attention_mask": seen,
        "past_key_values.0.key": torch.zeros(len(mask), 1, 0, 2),
    }
    made = {name: Input(tensor, {"kind": "reference"}) for name, tensor in tensors.items()}
    return ProofInputs("padded", made)


@pytest.mark.parametrize(
    ("place", "same"), [((0, 0, 0), True), ((0, 1, 0), False), ((1, 0, 0), False)]
)
def test_only_what_belongs_to_padding_may_differ(place: tuple[int, ...], same: bool) -> None:
    want = torch.ones(2, 3, 4)
    got = want.clone()
    got[place] = 9
    case = case_of_padding([[0, 1, 1], [1, 1, 1]])
    found = compare_case(
        case, Outputs({"logits": got}, {"logits": want}, Bound(), seen_positions(case))
    )
    assert found["outputs"][0]["passed"] is same


def test_heads_are_no_positions() -> None:
    """As many heads as there are positions: what padding hides are rows of the second axis."""
    case = case_of_padding([[0, 1, 1], [1, 1, 1]])
    want = {"layer_0_attn_z": torch.ones(2, 3, 3, 4)}
    got = {"layer_0_attn_z": want["layer_0_attn_z"].clone()}
    got["layer_0_attn_z"][0, 0, 2] = 9
    shapes = {"layer_0_attn_z": ("batch_size", 3, "sequence_length", 4)}
    outputs = Outputs(got, want, Bound(), seen_positions(case), shapes)
    assert compare_case(case, outputs)["outputs"][0]["passed"] is False


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{pair}/model.pt2"], "two artifacts are compared"),
        (["{pair}/model.pt2", "{pair}"], "the folder holds files of several formats"),
        (["{pair}/model.pt2", "{pair}/metadata.json"], "the file is no artifact"),
        (["{pair}/model.pt2", "{bundle}"], "the two take different inputs"),
        (["{bundle}", "{bundle}:int3"], "no such variant"),
        (["{pair}/model.pt2", "{weights}"], "a file of weights holds no program"),
        (["{pair}/model.pt2", "{pair}/none.onnx"], "there is no such file"),
        (["--rerun", "{pair}/none.json"], "there is no such record"),
        (["{pair}/model.pt2", "{pair}/model.ts", "--max-error", "0"], "positive"),
        (
            ["{pair}/model.pt2", "{pair}/model.ts", "--inputs", "{pair}/metadata.json"],
            "can't be read",
        ),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str],
    words: str,
    pair_folder: Path,
    tiny_gpt2_bundle: Path,
    tiny_gpt2_checkpoint: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    weights = str(tiny_gpt2_checkpoint / "model.safetensors")
    places = {"pair": str(pair_folder), "bundle": str(tiny_gpt2_bundle), "weights": weights}
    assert main(["prove", *(each.format(**places) for each in arguments)]) == 2
    assert words in last_line(capsys)


def test_positions_that_a_bundle_would_not_use_are_refused(
    tiny_gpt2_checkpoint: Path,
    tiny_gpt2_bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    convert = ["convert", str(tiny_gpt2_checkpoint), "--format", "onnx", "--output", str(out)]
    assert main(convert) == 0
    ports = onnx.load(out / "onnx" / "model.onnx", load_external_data=False).graph.input
    past = {
        port.name: torch.zeros(1, *(dim.dim_value for dim in port.type.tensor_type.shape.dim[1:]))
        for port in ports
        if port.name.startswith("past")
    }
    tensors = {
        "input_ids": torch.tensor([[1, 2, 3]]),
        "attention_mask": torch.ones(1, 3, dtype=torch.int64),
        "position_ids": torch.tensor([[4, 5, 6]]),
        **past,
    }
    save_file(tensors, tmp_path / "inputs.safetensors")
    places = [str(tiny_gpt2_bundle), str(out / "onnx" / "model.onnx")]
    inputs = ["--inputs", str(tmp_path / "inputs.safetensors")]
    capsys.readouterr()
    assert main(["prove", *places, *inputs]) == 2
    assert "positions counted from 0" in last_line(capsys)
