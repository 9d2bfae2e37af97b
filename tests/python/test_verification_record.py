"""verification.json holds records of comparisons: they say where a bundle parts from its
checkpoint, and are enough to compare again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from oriel.cli import main
from oriel.errors import ContractError, ModuleError
from oriel.proof.prove import prove_again
from oriel.proof.verification_record import check_verification, read_verification
from oriel.verification.compare import difference

VARIANTS = {"fp32", "int8"}
GRAPHS = ("decoder", "open", "plain")
Proofs = dict[tuple[str, str], Any]


def verified(bundle: Path, checkpoint: Path, code: int = 0) -> Any:
    """Verify a bundle, and return what lies in it then."""
    command = ["verify", "--model", str(bundle), "--checkpoint", str(checkpoint), "--json"]
    assert main(command) == code
    return read_verification(bundle / "verification.json")


def proofs_of(record: Any) -> Proofs:
    """Return {(variant, graph): record of the comparison}."""
    return {
        (variant["name"], proof["candidate"]["graph"]): proof
        for variant in record["variants"]
        for proof in variant["proofs"]
    }


@pytest.fixture(scope="module")
def bundle(quantized_gpt2_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle with two of its variants."""
    folder = tmp_path_factory.mktemp("record") / "bundle"
    shutil.copytree(quantized_gpt2_bundle, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    kept = [each for each in manifest["variants"] if each["name"] in VARIANTS]
    (folder / "manifest.json").write_text(json.dumps({**manifest, "variants": kept}))
    return folder


@pytest.fixture(scope="module")
def record(bundle: Path, tiny_gpt2_checkpoint: Path) -> Any:
    return verified(bundle, tiny_gpt2_checkpoint)


def test_each_graph_of_each_variant_has_a_record(record: Any, bundle: Path) -> None:
    found = proofs_of(record)
    assert found.keys() == {(name, graph) for name in VARIANTS for graph in GRAPHS}
    decoder = found["fp32", "decoder"]
    assert (decoder["verdict"], decoder["first_apart"]) == ("same", None)
    assert decoder["not_compared"] == []
    for file in decoder["candidate"]["files"]:
        assert file["bytes"] == (bundle / file["path"]).stat().st_size
    assert decoder["candidate"]["provider"] == "CPUExecutionProvider"
    assert decoder["reference"]["versions"].keys() == {"torch", "transformers"}
    # Kernels that round are measured by norms, over what the weights stand for.
    int8 = found["int8", "decoder"]
    assert int8["reference"]["precision"] == "int8"
    assert {o["measure"] for case in int8["cases"] for o in case["outputs"]} == {"norm"}


def test_no_path_of_this_machine_is_in_it(record: Any, bundle: Path) -> None:
    assert str(bundle.parent) not in json.dumps(record)


@pytest.mark.parametrize("graph", GRAPHS)
def test_a_record_is_enough_to_compare_again(
    graph: str, record: Any, bundle: Path, tiny_gpt2_checkpoint: Path
) -> None:
    proof = proofs_of(record)["fp32", graph]
    again = prove_again(proof, (str(tiny_gpt2_checkpoint), f"{bundle}:fp32"))
    assert (again["verdict"], again["candidate"]) == (
        "same",
        {**proof["candidate"], "place": f"{bundle}:fp32"},
    )
    assert [case["inputs"] for case in again["cases"]] == [c["inputs"] for c in proof["cases"]]
    for case, before in zip(again["cases"], proof["cases"], strict=True):
        # Of the longest text, verification compares as many activations as its memory allows.
        names = {o["name"] for o in before["outputs"]}
        assert "logits" in names and names <= {o["name"] for o in case["outputs"]}


def test_the_command_compares_a_bundle_s_record_again(
    record: Any, bundle: Path, tiny_gpt2_checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = bundle / "verification.json"
    pair = [str(tiny_gpt2_checkpoint), f"{bundle}:fp32"]
    capsys.readouterr()
    for part, graph in (("fp32", "decoder"), ("fp32:plain", "plain")):
        assert main(["prove", *pair, "--rerun", f"{file}:{part}", "--json"]) == 0
        again = json.loads(capsys.readouterr().out)
        assert again["candidate"]["graph"] == graph
        assert (
            again["cases"][0]["inputs"] == record["variants"][0]["proofs"][0]["cases"][0]["inputs"]
        )


@pytest.mark.parametrize(
    ("part", "places", "words"),
    [
        (":int3", True, "no such comparison"),
        (":fp32:graph", True, "no such comparison"),
        (":fp32", False, "doesn't say where things lie"),
        ("", True, "verification.json:VARIANT"),
    ],
)
def test_a_part_that_is_none_is_one_line(
    part: str,
    places: bool,
    words: str,
    bundle: Path,
    record: Any,
    tiny_gpt2_checkpoint: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    pair = [str(tiny_gpt2_checkpoint), f"{bundle}:fp32"] if places else []
    capsys.readouterr()
    assert main(["prove", *pair, "--rerun", f"{bundle / 'verification.json'}{part}"]) == 2
    *_, line = capsys.readouterr().err.rstrip().split("\n")
    assert words in line


def test_other_weights_than_the_checkpoint_s_can_t_be_compared_again(
    record: Any, bundle: Path, tiny_gpt2_checkpoint: Path
) -> None:
    proof = proofs_of(record)["int8", "decoder"]
    with pytest.raises(ModuleError, match="compared with other weights than its own"):
        prove_again(proof, (str(tiny_gpt2_checkpoint), f"{bundle}:int8"))


def test_a_damaged_layer_is_where_they_part(
    tiny_gpt2_bundle: Path, tiny_gpt2_checkpoint: Path, tmp_path: Path
) -> None:
    bundle = shutil.copytree(tiny_gpt2_bundle, tmp_path / "bundle")
    graph = onnx.load(bundle / "model.onnx", load_external_data=False)
    (place,) = [
        {entry.key: entry.value for entry in tensor.external_data}
        for tensor in graph.graph.initializer
        if tensor.name == "transformer.h.2.attn.c_proj.bias"
    ]
    start, count = int(place["offset"]), int(place["length"]) // 4
    values = np.memmap(bundle / place["location"], np.float32, "r+", start, (count,))
    values += 0.5
    values.flush()
    found = proofs_of(verified(bundle, tiny_gpt2_checkpoint, code=1))
    assert found["fp32", "decoder"]["first_apart"]["output"] == "layer_2_attn_output"
    assert found["fp32", "decoder"]["verdict"] == "apart"


def test_a_record_of_the_form_before_says_what_to_do() -> None:
    with pytest.raises(ContractError, match="of another version") as caught:
        check_verification({"verification_version": "1.0", "variants": []}, "verification.json")
    assert caught.value.next_step == "verify the bundle again."


def test_the_ratio_of_norms_is_numpy_s() -> None:
    draw = np.random.default_rng(3)
    want = draw.normal(size=(2, 5, 7)).astype(np.float32)
    got = 1.5 * want + draw.normal(size=want.shape).astype(np.float32)
    ratio = np.linalg.norm(got.astype(np.float64)) / np.linalg.norm(want.astype(np.float64))
    assert difference(got, want).norm_ratio == pytest.approx(ratio, rel=1e-6)
    assert difference(got, np.zeros_like(want)).norm_ratio is None
