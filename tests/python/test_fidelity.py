"""oriel fidelity and the gate, on tiny random models: what they record is what PyTorch and ONNX
Runtime, asked directly, give."""

from __future__ import annotations

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import torch
from checkpoint_files import checked_line
from onnx import TensorProto, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from torch.nn import functional as F
from transformers import GPT2LMHeadModel

import oriel
from oriel.cli import main
from oriel.contract.documents import Expansion, FidelityRecord
from oriel.contract.manifest import check_manifest, read_manifest
from oriel.errors import BundleError, ContractError, FidelityError, GraphError
from oriel.export_bundle import export
from oriel.fidelity.gate import GATE_EFFORT, gate
from oriel.fidelity.measure import EFFORT
from oriel.options import ExportOptions
from oriel.progress import Silent

Ids = npt.NDArray[np.int64]
VOCAB, CONTEXT = 101, 32


def words(count: int, seed: int) -> list[int]:
    return [int(i) for i in np.random.default_rng(seed).integers(1, VOCAB, count)]


def line(ids: list[int]) -> str:
    return " ".join(f"w{i}" for i in ids)


@pytest.fixture(scope="module")
def checkpoint(tiny_gpt2_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny GPT-2 with a tokenizer of one word a token."""
    folder = tmp_path_factory.mktemp("fidelity") / "worded"
    shutil.copytree(tiny_gpt2_checkpoint, folder)
    tokenizer = Tokenizer(WordLevel({f"w{i}": i for i in range(VOCAB)}, unk_token="w1"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 32}')
    return folder


@pytest.fixture(scope="module")
def exported(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its bundle in fp32 and fp16. Shared: copy it before changing anything."""
    output = tmp_path_factory.mktemp("fidelity") / "bundle" / "model.onnx"
    options = ExportOptions(
        model=str(checkpoint), all_layers=True, output=output, precision=("fp32", "fp16")
    )
    return export(options, Silent()).folder


@pytest.fixture(scope="module", autouse=True)
def short_text() -> Iterator[None]:
    """Of a tiny model a few hundred tokens tell enough."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("oriel.fidelity.gate.GATE_EFFORT", replace(GATE_EFFORT, tokens=512))
        patch.setattr("oriel.fidelity.measure_bundle.EFFORT", replace(EFFORT, tokens=512))
        yield


@pytest.fixture
def bundle(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "bundle"))


@pytest.fixture
def text(tmp_path: Path) -> tuple[Path, list[Ids]]:
    """A file, and the passages that it means: a start token before each, and what is longer than
    the model reads goes on in another one."""
    lines = [words(40, 1), words(20, 2), words(63, 3), words(1, 4)]
    file = tmp_path / "text.txt"
    file.write_text("\r\n\n".join(map(line, lines)) + "\n", encoding="utf-8")
    whole = [[0, *ids] for ids in lines]
    cut = [whole[0][:32], whole[0][32:], whole[1], whole[2][:32], whole[2][32:], whole[3]]
    return file, [np.array(ids) for ids in cut]


def record(folder: Path, name: str) -> FidelityRecord:
    return read_manifest(folder).variant(name)["fidelity"]


def run_graph(folder: Path, path: str, ids: Ids) -> dict[str, npt.NDArray[Any]]:
    session = onnxruntime.InferenceSession(folder / path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"input_ids": ids[None]}), strict=True))


def test_the_record_is_what_pytorch_and_the_graph_give(
    bundle: Path, checkpoint: Path, text: tuple[Path, list[Ids]]
) -> None:
    file, passages = text
    argv = ["fidelity", str(bundle), "--checkpoint", str(checkpoint), "--text", str(file)]
    assert main([*argv, "--variants", "fp16"]) == 0
    # It comes in evaluation mode.
    model = GPT2LMHeadModel.from_pretrained(checkpoint, attn_implementation="eager")
    divergences, agreed, shared = [], [], []
    losses: list[list[float]] = [[], []]
    gaps: dict[str, list[npt.NDArray[Any]]] = {"mlp": [], "probs": []}
    sizes: dict[str, list[npt.NDArray[Any]]] = {"mlp": [], "probs": []}
    seen: list[torch.Tensor] = []
    model.get_submodule("transformer.h.1.mlp").register_forward_hook(
        lambda _m, _i, out: seen.append(out)
    )
    for ids in passages:
        with torch.no_grad():
            out = model(torch.from_numpy(ids)[None], output_attentions=True)
        got = run_graph(bundle, "model_fp16.plain.onnx", ids)
        p, q = out.logits[0].double(), torch.from_numpy(got["logits"][0]).double()
        each = F.kl_div(q.log_softmax(-1), p.log_softmax(-1), reduction="none", log_target=True)
        divergences += each.sum(-1).tolist()
        agreed += (p.argmax(-1) == q.argmax(-1)).tolist()
        fives = zip(p.topk(5).indices.tolist(), q.topk(5).indices.tolist(), strict=True)
        shared += [len(set(a) & set(b)) / 5 for a, b in fives]
        for losses_of, logits in zip(losses, (p, q), strict=True):
            target = torch.from_numpy(ids[1:])
            losses_of += F.cross_entropy(logits[:-1], target, reduction="none").tolist()
        mlp, probs = seen.pop().numpy(), out.attentions[2].numpy()
        gaps["mlp"].append((got["layer_1_mlp_output"] - mlp)[:, 1:].ravel())
        sizes["mlp"].append(mlp[:, 1:].ravel())
        gaps["probs"].append((got["layer_2_attn_probs"] - probs)[:, :, 1:].ravel())
        sizes["probs"].append(probs[:, :, 1:].ravel())
    found = record(bundle, "fp16")
    assert found["reference"] == "pytorch"
    assert found["kl_mean"] == pytest.approx(np.mean(divergences), rel=0.02)
    assert found["kl_p99"] == pytest.approx(np.percentile(divergences, 99), rel=0.05)
    assert found["top1"] == pytest.approx(np.mean(agreed))
    assert found["top5"] == pytest.approx(np.mean(shared), abs=0.01)
    assert found["reference_perplexity"] == pytest.approx(math.exp(np.mean(losses[0])), rel=1e-5)
    assert found["perplexity"] == pytest.approx(math.exp(np.mean(losses[1])), rel=1e-5)
    rows = {(row["kind"], row["layer"]): row for row in found["activations"]}
    for key, of in ((("mlp_output", 1), "mlp"), (("attn_probs", 2), "probs")):
        gap, size = np.concatenate(gaps[of]), np.concatenate(sizes[of])
        expected = np.linalg.norm(gap) / np.linalg.norm(size)
        assert expected > 1e-5
        assert rows[key]["relative_error"] == pytest.approx(expected, rel=0.05)
        assert rows[key]["cosine"] == pytest.approx(1 - expected**2 / 2, abs=1e-6)
    assert found["text"]["name"] == "text.txt"
    assert (found["text"]["passages"], found["text"]["tokens"]) == (6, 128)
    assert "fidelity" not in read_manifest(bundle).variant("fp32")


def test_fp32_is_pytorch_and_every_activation_has_a_row(bundle: Path, checkpoint: Path) -> None:
    assert main(["fidelity", str(bundle), "--checkpoint", str(checkpoint)]) == 0
    manifest = read_manifest(bundle)
    for variant in manifest.variants:
        found = variant["fidelity"]
        assert found["within_bounds"]
        assert "lossy" not in variant
        kinds = {row["kind"] for row in found["activations"]}
        opened = {o["name"] for tap in variant["taps"] for o in tap["outputs"]}
        assert len(found["activations"]) == len([n for n in opened if not n.endswith("_lens_ids")])
        assert "lens_probs" in kinds and "lens_ids" not in kinds and "logits" not in kinds
    fp32 = record(bundle, "fp32")
    assert fp32["kl_mean"] < 1e-9
    assert fp32["top1"] == fp32["top5"] == 1.0
    assert max(row["relative_error"] for row in fp32["activations"]) < 1e-5
    # Its tokenizer knows no word of English.
    assert fp32["text"]["name"] == (
        "text that the model wrote itself, as its tokenizer doesn't know 100% of the bundled corpus"
    )
    check_manifest(manifest.data)


def test_no_torch_in_the_gate(exported: Path) -> None:
    code = (
        "import json, sys\n"
        "from pathlib import Path\n"
        "from oriel.fidelity.gate import gate\n"
        "folder = Path(sys.argv[1])\n"
        "data = json.loads((folder / 'manifest.json').read_text())\n"
        "found = gate(folder, data, ['fp16'], False)\n"
        "named = {v['name']: v for v in found['variants']}\n"
        "assert named['fp16']['fidelity']['reference'] == 'trunk', named\n"
        "assert named['fp16']['fidelity']['within_bounds']\n"
        "assert 'fidelity' not in named['fp32']\n"
        "heavy = {'torch', 'transformers', 'huggingface_hub'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    source = Path(oriel.__file__).parents[1]
    subprocess.run(
        [sys.executable, "-c", code, exported], check=True, env={"PYTHONPATH": str(source)}
    )


def test_the_trunk_beside_itself_is_the_same(exported: Path) -> None:
    data = json.loads((exported / "manifest.json").read_text())
    before = deepcopy(data)
    found = check_manifest(gate(exported, data, ["fp32"], False)).variant("fp32")["fidelity"]
    assert data == before
    assert (found["kl_mean"], found["kl_p99"]) == (0, 0)
    assert (found["top1"], found["top5"]) == (1, 1)
    assert {row["relative_error"] for row in found["activations"]} == {0}
    assert {row["cosine"] for row in found["activations"]} == {1}


def damage(folder: Path, factor: float) -> None:
    """Put every weight of the fp16 variant off by a factor."""
    (name,) = read_manifest(folder).variant("fp16")["weights"]
    weights = np.fromfile(folder / name, dtype=np.float16)
    (weights * np.float16(factor)).tofile(folder / name)


def test_the_gate_refuses_scales_that_are_off_and_marks_them_where_allowed(bundle: Path) -> None:
    data = json.loads((bundle / "manifest.json").read_text())
    damage(bundle, 1.1)
    with pytest.raises(FidelityError) as caught:
        gate(bundle, data, ["fp16"], False)
    said = checked_line(f"error: {caught.value}")
    for part in ("fp16 is too far", "mean KL", "at most 1e-05", "--allow-lossy", "--recipe"):
        assert part in said
    found = gate(bundle, data, ["fp16"], True)
    variant = check_manifest(found).variant("fp16")
    assert variant["lossy"] is True
    assert variant["fidelity"]["within_bounds"] is False
    assert variant["fidelity"]["kl_mean"] > 1e-3
    # Once it is sound again, it isn't lossy any more.
    damage(bundle, 1 / 1.1)
    data["variants"] = found["variants"]
    assert "lossy" not in check_manifest(gate(bundle, data, ["fp16"], True)).variant("fp16")


@pytest.fixture(scope="module")
def quantized(exported: Path, checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With every variant, measured in PyTorch on the default text."""
    folder = Path(shutil.copytree(exported, tmp_path_factory.mktemp("fidelity") / "quantized"))
    wanted = "f16,q8,q4,int8,int8_static,int4"
    assert main(["quantize", str(folder), "--precision", wanted, "--allow-lossy"]) == 0
    assert main(["fidelity", str(folder), "--checkpoint", str(checkpoint)]) in (0, 1)
    return folder


def test_every_variant_is_measured_and_fewer_bits_tell_more(quantized: Path) -> None:
    kl = {v["name"]: v["fidelity"]["kl_mean"] for v in read_manifest(quantized).variants}
    assert kl.keys() == {"fp32", "f16", "q8", "q4", "fp16", "int8", "int8_static", "int4"}
    assert kl["fp32"] < kl["f16"] < kl["q8"] < kl["q4"]
    # Kernels round activations on top of what the encoding rounds.
    assert kl["q8"] < min(kl["int8"], kl["int8_static"])
    # MatMulNBits on 4 bits multiplies in float32: only the order of sums differs.
    assert kl["int4"] == pytest.approx(kl["q4"], rel=0.1)


def test_expanded_weights_are_what_pytorch_computes_with_them(
    quantized: Path, checkpoint: Path, text: tuple[Path, list[Ids]], tmp_path: Path
) -> None:
    """f16: the same model with every weight rounded to float16, by PyTorch itself."""
    folder = Path(shutil.copytree(quantized, tmp_path / "copy"))
    file, passages = text
    argv = ["fidelity", str(folder), "--checkpoint", str(checkpoint), "--variants", "f16"]
    main([*argv, "--text", str(file)])
    model = GPT2LMHeadModel.from_pretrained(checkpoint, attn_implementation="eager")
    rounded = GPT2LMHeadModel.from_pretrained(checkpoint, attn_implementation="eager")
    with torch.no_grad():
        for parameter in rounded.parameters():
            parameter.copy_(parameter.half().float())
    each: list[float] = []
    for ids in passages:
        with torch.no_grad():
            p, q = (m(torch.from_numpy(ids)[None]).logits[0].double() for m in (model, rounded))
        terms = F.kl_div(q.log_softmax(-1), p.log_softmax(-1), reduction="none", log_target=True)
        each += terms.sum(-1).tolist()
    assert record(folder, "f16")["kl_mean"] == pytest.approx(np.mean(each), rel=0.01)


def scale_off(file: Path, expansion: Expansion, factor: float) -> None:
    """Put every scale of an encoded file off by a factor."""
    content = bytearray(file.read_bytes())
    for weight in expansion["weights"]:
        if "scales" in weight:
            summed = weight["shape"][weight["axis"]]
            blocks = -(-summed // weight.get("block", summed))
            start, count = weight["scales"], blocks * weight["shape"][1 - weight["axis"]]
            scales = np.frombuffer(content, "<f2", count, start) * np.float16(factor)
            content[start : start + 2 * count] = scales.astype("<f2").tobytes()
    file.write_bytes(content)


def scale_constants_off(file: Path, factor: float) -> None:
    """Put the scales that stand in a graph's own file off too."""
    graph = onnx.load(file, load_external_data=False)
    for tensor in graph.graph.initializer:
        inside = tensor.data_location != TensorProto.EXTERNAL
        if inside and "/scales" in tensor.name and tensor.data_type == TensorProto.FLOAT:
            values = numpy_helper.to_array(tensor) * np.float32(factor)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    onnx.save(graph, file)


@pytest.mark.parametrize(
    ("encoded", "kernels", "factor"), [("q8", "int8", 1.1), ("q4", "int4", 1.2)]
)
def test_the_gate_refuses_scales_that_are_off_in_any_kernels(
    quantized: Path, tmp_path: Path, encoded: str, kernels: str, factor: float
) -> None:
    folder = Path(shutil.copytree(quantized, tmp_path / "copy"))
    data = json.loads((folder / "manifest.json").read_text())
    variant = check_manifest(data).variant(encoded)
    scale_off(folder / variant["weights"][0], variant["expansion"], factor)
    scale_constants_off(folder / f"model_{kernels}.onnx", factor)
    found = check_manifest(gate(folder, data, [kernels], True)).variant(kernels)
    assert found["fidelity"]["kl_mean"] > found["fidelity"]["bounds"]["kl_mean"]
    assert found["lossy"] is True
    with pytest.raises(FidelityError, match=f"{kernels} is too far"):
        gate(folder, data, [kernels], False)
    # What is expanded has a digest, and isn't even run.
    with pytest.raises(ContractError, match="doesn't expand to"):
        gate(folder, data, [encoded], True)


def test_a_variant_that_computes_nan_is_broken_and_not_lossy(bundle: Path) -> None:
    data = json.loads((bundle / "manifest.json").read_text())
    damage(bundle, math.nan)
    with pytest.raises(GraphError, match="NaN or infinity"):
        gate(bundle, data, ["fp16"], True)


def failed(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """The error line of oriel fidelity, which must fail."""
    capsys.readouterr()
    assert main(["fidelity", *argv]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    errors = [found for found in err.splitlines() if found.startswith("error: ")]
    assert len(errors) == 1 and err.splitlines()[-1] == errors[0]
    return checked_line(errors[0])


BAD_TEXTS: dict[str, tuple[bytes | None, tuple[str, ...]]] = {
    "absent": (None, ("--text can't be read", "No such file")),
    "empty": (b"", ("--text is empty",)),
    "blank": (b" \n\t\r\n\xef\xbb\xbf \n", ("--text is too short",)),
    "only a mark": (b"\xef\xbb\xbf\n \n", ("--text is empty",)),
    "too short": (line(words(50, 5)).encode(), ("--text is too short", "51 tokens", "100")),
    "unknown": (b"bishop takes w2\n" * 60, ("tokenizer doesn't know", "85%", "at most 20%")),
    "not UTF-8": ("w1 w2 café".encode("latin-1"), ("--text is not UTF-8", "0xe9 at 9")),
    "UTF-16": (line(words(200, 6)).encode("utf-16"), ("--text is not UTF-8", "0xff at 0")),
}


@pytest.mark.parametrize("case", BAD_TEXTS)
def test_texts_that_will_not_do(
    bundle: Path, tmp_path: Path, case: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (bundle / "manifest.json").read_bytes()
    content, parts = BAD_TEXTS[case]
    file = tmp_path / "given.txt"
    if content is not None:
        file.write_bytes(content)
    said = failed(capsys, str(bundle), "--text", str(file))
    assert all(part in said for part in parts), said
    assert "given.txt" in said
    assert (bundle / "manifest.json").read_bytes() == before


def test_what_is_asked_for_must_be_there(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (bundle / "manifest.json").read_bytes()
    assert "'q3'" in failed(capsys, str(bundle), "--variants", "fp16,q3")
    assert "names what the bundle doesn't have" in failed(capsys, str(bundle), "--variants", "")
    assert ".svg" in failed(capsys, str(bundle), "--plot", str(tmp_path / "plot.png"))
    assert "no such bundle" in failed(capsys, str(tmp_path / "nothing"))
    assert "no bundle in" in failed(capsys, str(tmp_path))
    assert "--checkpoint" in failed(capsys, str(bundle))
    (bundle / "model_fp16.onnx").unlink()
    with pytest.raises(BundleError, match="fp16 lacks a file"):
        gate(bundle, json.loads(before), ["fp16"], True)
    assert (bundle / "manifest.json").read_bytes() == before


def test_another_checkpoint_is_refused(
    bundle: Path, tiny_llama_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = failed(capsys, str(bundle), "--checkpoint", str(tiny_llama_checkpoint))
    assert "not what the bundle was exported from" in said


def test_a_model_without_a_tokenizer_reads_what_it_writes(
    tiny_llama_bundle: Path, tmp_path: Path
) -> None:
    data = json.loads((tiny_llama_bundle / "manifest.json").read_text())
    found = [gate(tiny_llama_bundle, data, ["fp16"], False) for _ in range(2)]
    texts = [check_manifest(f).variant("fp16")["fidelity"]["text"] for f in found]
    assert texts[0] == texts[1]
    assert texts[0]["name"] == "text that the model wrote itself"
    assert texts[0]["tokens"] == 8 * 32
    file = tmp_path / "text.txt"
    file.write_text(line(words(200, 7)))
    assert main(["fidelity", str(tiny_llama_bundle), "--text", str(file)]) == 2


def test_text_that_a_variant_was_calibrated_on_is_refused(
    bundle: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = tmp_path / "one.txt", tmp_path / "other.txt"
    for seed, file in enumerate((one, other)):
        file.write_text("\n".join(line(words(50, 10 * seed + i)) for i in range(9)))
    graph = str(bundle / "model.onnx")
    made = ["quantize", graph, "--precision", "int8_static", "--calibration", str(one)]
    assert main([*made, "--allow-lossy"]) == 0
    assert "int8_static was calibrated on this very text" in failed(
        capsys, graph, "--checkpoint", str(checkpoint), "--text", str(one)
    )
    argv = ["fidelity", graph, "--checkpoint", str(checkpoint), "--variants", "int8_static"]
    assert main([*argv, "--text", str(other)]) in (0, 1)
    assert record(bundle, "int8_static")["text"]["name"] == "other.txt"


def test_a_lossy_variant_is_told_by_the_exit_code(
    bundle: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(bundle, 1.1)
    argv = ["fidelity", str(bundle), "--checkpoint", str(checkpoint), "--json"]
    assert main(argv) == 1
    printed = json.loads(capsys.readouterr().out)
    told = printed["variants"]
    assert [point["top1"] for point in printed["expected_top1_by_kl"]] == sorted(
        (point["top1"] for point in printed["expected_top1_by_kl"]), reverse=True
    )
    assert told["fp16"]["lossy"] is True
    assert told["fp16"]["fidelity"] == record(bundle, "fp16")
    assert told["fp32"]["lossy"] is False
    files = {f["path"]: f["bytes"] for f in read_manifest(bundle).data["files"]}
    assert told["fp32"]["bytes"] == files["model.onnx.data"] + files["model.open.onnx"]
