"""oriel select: other outputs of the same graph, without torch, weights untouched."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from checkpoint_files import checked_line
from onnx import TensorProto, helper

import oriel
from oriel.cli import main
from oriel.contract.manifest import read_manifest
from oriel.graph.graph_document import METADATA_KEY

REWRITTEN = ("model.onnx", "model.plain.onnx", "manifest.json", "verification.json")
TOKENS = np.array([[5, 3, 88, 3], [0, 1, 2, 3]])


def run(graph: Path, names: Sequence[str] | None = None) -> dict[str, np.ndarray[Any, Any]]:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    given = [o.name for o in session.get_outputs() if not o.name.startswith("present.")]
    names = given if names is None else names
    feeds: dict[str, np.ndarray[Any, Any]] = {
        "input_ids": TOKENS,
        "attention_mask": np.ones_like(TOKENS),
        "position_ids": np.arange(4)[None].repeat(2, axis=0),
    }
    for port in session.get_inputs():
        if port.name.startswith("past_key_values."):
            feeds[port.name] = np.zeros((2, port.shape[1], 0, port.shape[3]), np.float32)
    wanted = {port.name: feeds[port.name] for port in session.get_inputs()}
    return dict(zip(names, session.run(names, wanted), strict=True))


@pytest.fixture
def bundle(tiny_gpt2_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_gpt2_bundle, tmp_path / "bundle"))


@pytest.fixture
def llama(tiny_llama_bundle: Path, tmp_path: Path) -> Path:
    """Its bundle has an fp16 variant beside the fp32 one."""
    return Path(shutil.copytree(tiny_llama_bundle, tmp_path / "llama"))


def contents(folder: Path) -> dict[str, bytes]:
    return {f.name: f.read_bytes() for f in folder.iterdir()}


def failed(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """The error line of oriel select, which must fail."""
    assert main(["select", *argv]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("error: ")
    return checked_line(err.strip())


def test_the_chosen_outputs_are_right(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph = bundle / "model.onnx"
    first = run(graph)
    assert main(["select", str(graph), "--layers", "1,3", "--activations", "mlp_act,q"]) == 0
    assert capsys.readouterr().out == f"{graph} gives logits and 6 activations\n"
    chosen = run(graph)
    assert sorted(chosen) == sorted(
        ["logits"]
        + [f"layer_{n}_{what}" for n in (1, 3) for what in ("attn_probs", "mlp_act", "q")]
    )
    np.testing.assert_array_equal(chosen["logits"], first["logits"])
    assert chosen["layer_3_mlp_act"].shape == (2, 4, 52)
    # Back to all layers and the usual kinds: what was given out at first is there, bit for bit.
    assert main(["select", str(graph)]) == 0
    again = run(graph)
    assert {f"layer_{n}_resid_post" for n in range(4)} < set(again)
    for name, values in first.items():
        np.testing.assert_array_equal(again[name], values, err_msg=name)
    # And the residual stream fits together across choices.
    assert (
        main(["select", str(graph), "--layers", "3", "--activations", "resid_mid,mlp_output"]) == 0
    )
    inner = run(graph)
    np.testing.assert_allclose(
        inner["layer_3_resid_mid"] + inner["layer_3_mlp_output"],
        again["layer_3_resid_post"],
        rtol=1e-4,
        atol=1e-5,
    )


def test_the_logit_lens_comes_and_goes(bundle: Path) -> None:
    graph = bundle / "model.onnx"
    before = run(graph, ["logits"])["logits"]
    nodes = len(onnx.load(graph, load_external_data=False).graph.node)
    for _ in range(2):
        assert main(["select", str(graph), "--layers", "3", "--activations", "lens_ids"]) == 0
        lens = run(graph)
        # The last layer's lens reads what the model itself reads.
        np.testing.assert_array_equal(lens["layer_3_lens_ids"][..., 0], before.argmax(-1))
    assert main(["select", str(graph), "--layers", "0"]) == 0
    assert len(onnx.load(graph, load_external_data=False).graph.node) == nodes


def test_weights_stay_and_the_manifest_follows(bundle: Path) -> None:
    weights = bundle / "model.onnx.data"
    before = weights.stat()
    (bundle / "verification.json").write_text("{}")
    others = {n: d for n, d in contents(bundle).items() if n not in REWRITTEN}
    assert main(["select", str(bundle / "model.onnx"), "--layers", "1"]) == 0
    after = weights.stat()
    assert (after.st_ino, after.st_mtime_ns, after.st_nlink) == (
        before.st_ino,
        before.st_mtime_ns,
        before.st_nlink,
    )
    now = contents(bundle)
    assert {n: now[n] for n in others} == others
    assert set(now) == {*others, "model.onnx", "model.plain.onnx", "manifest.json"}
    manifest = read_manifest(bundle)
    descriptor = manifest.file("model.onnx")
    assert descriptor["bytes"] == len(now["model.onnx"])
    assert descriptor["digest"] == f"sha256:{hashlib.sha256(now['model.onnx']).hexdigest()}"
    recorded = manifest.variant("fp32")["decoder"]["activations"]
    model = onnx.load(bundle / "model.onnx", load_external_data=False)
    inside = {entry.key: entry.value for entry in model.metadata_props}[METADATA_KEY]
    assert json.loads(inside) == recorded
    assert [o["name"] for o in recorded["outputs"]] == [o.name for o in model.graph.output]
    assert all("_1_" in o.name for o in model.graph.output if o.name.startswith("layer_"))
    decoder, plain = run(bundle / "model.onnx"), run(bundle / "model.plain.onnx")
    assert set(decoder) == set(plain)
    for name, values in plain.items():
        np.testing.assert_allclose(values, decoder[name], atol=1e-5, err_msg=name)


def test_each_variant_is_chosen_for_itself(llama: Path) -> None:
    graph = llama / "model_fp16.onnx"
    assert main(["select", str(graph), "--layers", "0", "--activations", "k"]) == 0
    assert set(run(graph)) == {"logits", "layer_0_attn_probs", "layer_0_k"}
    manifest = read_manifest(llama)
    outputs = {
        v["name"]: {o["name"] for o in v["decoder"]["activations"]["outputs"]}
        for v in manifest.variants
    }
    for name, path in (("fp16", graph), ("fp32", llama / "model.onnx")):
        named = {output for output in outputs[name] if not output.startswith("present.")}
        assert named == set(run(path))


def test_json_is_all_that_is_printed(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph = bundle / "model.onnx"
    assert main(["select", str(graph), "--layers", "2", "--activations", "q", "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    names = ["logits", "layer_2_q", "layer_2_attn_probs"]
    result = json.loads(out)
    assert result["output"] == str(graph)
    assert sorted(result["outputs"]) == sorted(names)


def test_a_bare_graph_is_chosen_alone(bundle: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("model.onnx", "model.onnx.data"):
        shutil.copyfile(bundle / name, bare / name)
    (bare / "notes.txt").write_text("mine")
    assert main(["select", str(bare / "model.onnx"), "--layers", "1", "--activations", "v"]) == 0
    assert set(run(bare / "model.onnx")) == {"logits", "layer_1_attn_probs", "layer_1_v"}
    assert {f.name for f in bare.iterdir()} == {"model.onnx", "model.onnx.data", "notes.txt"}


def test_a_link_to_the_graph_stays_a_link(bundle: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.onnx"
    link.symlink_to(bundle / "model.onnx")
    assert main(["select", str(link), "--layers", "1"]) == 0
    assert link.is_symlink()
    assert "layer_1_attn_probs" in run(bundle / "model.onnx")
    assert read_manifest(bundle).file("model.onnx")["bytes"] == link.stat().st_size


class TestBadInput:
    def test_no_file(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        line = failed(capsys, str(tmp_path / "model.onnx"))
        assert f"no file {tmp_path / 'model.onnx'}; expected the model.onnx of a bundle" in line
        assert "no file" in failed(capsys, str(tmp_path))
        assert "following arguments are required: model.onnx" in failed(capsys)

    @pytest.mark.parametrize("data", [b"# a text\n" * 50, b"\x08", b"\xff" * 99, b"", b"{}"])
    def test_no_onnx(self, data: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        file = tmp_path / "model.onnx"
        file.write_bytes(data)
        line = failed(capsys, str(file))
        assert "model.onnx is not an ONNX file" in line or "carries no contract document" in line
        assert file.read_bytes() == data

    def test_the_weights(self, bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
        line = failed(capsys, str(bundle / "model.onnx.data"))
        assert "is not an ONNX file" in line or "carries no contract document" in line

    def test_somebody_elses_graph(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        value = helper.make_tensor_value_info
        graph = helper.make_graph(
            [helper.make_node("Identity", ["a"], ["b"])],
            "g",
            [value("a", TensorProto.FLOAT, [1])],
            [value("b", TensorProto.FLOAT, [1])],
        )
        file = tmp_path / "model.onnx"
        onnx.save(helper.make_model(graph), file)
        assert "model.onnx carries no contract document" in failed(capsys, str(file))

    def test_a_document_of_another_contract(
        self, bundle: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = bundle / "model.onnx"
        model = onnx.load(file, load_external_data=False)
        entry = next(e for e in model.metadata_props if e.key == METADATA_KEY)
        document = json.loads(entry.value)
        entry.value = json.dumps(document | {"contract_version": "7.0"})
        onnx.save(model, file)
        assert "keeps another contract; got version 7.0" in failed(capsys, str(file))
        entry.value = json.dumps(document)[:-5]
        onnx.save(model, file)
        assert "carries a damaged contract document" in failed(capsys, str(file))

    def test_the_open_graph(self, bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
        before = contents(bundle)
        line = failed(capsys, str(bundle / "model.open.onnx"))
        assert (
            "model.open.onnx is the open graph; expected the decoder graph or the plain one" in line
        )
        assert contents(bundle) == before

    @pytest.mark.parametrize(
        ("flags", "said"),
        [
            (
                ["--layers", "4"],
                "names a layer that the model doesn't have; got 4; expected 0 to 3",
            ),
            (["--layers", "x"], "--layers can't be read"),
            (["--activations", "soul"], "--activations names what doesn't exist; got 'soul'"),
            (["--nonsense"], "unrecognized arguments: --nonsense. See oriel select --help"),
        ],
    )
    def test_flags(
        self, flags: list[str], said: str, bundle: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        before = contents(bundle)
        assert said in failed(capsys, str(bundle / "model.onnx"), *flags)
        assert contents(bundle) == before

    def test_a_graph_that_its_manifest_does_not_know(
        self, bundle: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (bundle / "model.onnx").rename(bundle / "other.onnx")
        line = failed(capsys, str(bundle / "other.onnx"))
        assert "other.onnx is not in the manifest beside it" in line

    def test_a_manifest_that_is_broken(
        self, bundle: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (bundle / "manifest.json").write_text("{")
        before = contents(bundle)
        assert "manifest.json is not JSON" in failed(capsys, str(bundle / "model.onnx"))
        assert contents(bundle) == before

    @pytest.mark.parametrize("at", [1, 2])
    def test_a_disk_that_fills_up_leaves_both_files(
        self,
        at: int,
        bundle: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        before = contents(bundle)
        calls: list[Path] = []
        replace = Path.replace

        def failing(self: Path, target: Path) -> Path:
            calls.append(target)
            if len(calls) == at:
                raise OSError(28, "No space left on device")
            return replace(self, target)

        monkeypatch.setattr(Path, "replace", failing)
        line = failed(capsys, str(bundle / "model.onnx"), "--layers", "1")
        assert f"no space left for {bundle}" in line
        assert contents(bundle) == before


def test_it_is_quick_and_needs_no_torch(bundle: Path) -> None:
    """Torch alone would take longer than choosing may; so would transformers."""
    code = (
        "import sys, time\n"
        "from oriel.cli import main\n"
        "code = main(sys.argv[1:])\n"
        "heavy = {'torch', 'transformers', 'onnxscript', 'onnxruntime', 'huggingface_hub'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
        "sys.exit(code)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, "select", str(bundle / "model.onnx"), "--layers", "3"],
        cwd=Path(oriel.__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    # What is written is loaded once by ONNX Runtime, which takes a fraction of a second.
    assert result.stdout.splitlines()[-1] == "['onnxruntime']"
    assert "layer_3_attn_probs" in run(bundle / "model.onnx")
