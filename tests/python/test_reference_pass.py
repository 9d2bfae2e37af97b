"""Tests reference passes: they hold PyTorch's numbers, their errors match values computed by hand,
and forged passes are refused."""

from __future__ import annotations

import functools
import hashlib
import json
import math
import shutil
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import numpy as np
import onnx
import pytest
import torch
from onnx.external_data_helper import ExternalDataInfo
from safetensors.numpy import load, save
from transformers import GPT2LMHeadModel

from oriel.cli import main
from oriel.contract.activation_names import ModelShape, all_activations
from oriel.contract.documents import ReferencePassRecord
from oriel.contract.manifest import read_manifest
from oriel.device import webgpu_provider
from oriel.errors import BundleError, OptionError
from oriel.models.find_checkpoint import find_checkpoint
from oriel.models.load_model import load_model
from oriel.progress import Silent
from oriel.publishing.publish import publish
from oriel.publishing.to_folder import FolderPlace
from oriel.reference_pass import pass_file
from oriel.reference_pass.compare_pass import compare_pass
from oriel.reference_pass.pass_file import ReferencePass, read_pass, tokens_that_fit
from oriel.verification import run_reference
from oriel.verification.run_reference import Reference
from oriel.verification.torch_activations import torch_activations
from oriel.verification.verify import verify
from oriel.verification.weights_on_demand import reference_reading

CASES = Path(__file__).parents[1] / "fixtures" / "reference_pass" / "cases.json"
PASS = "model.reference.safetensors"
WRONG = "transformer.h.2.mlp.c_proj.weight"


def numbers(values: Any) -> Any:
    """Parse floats, given as one number or a list, in which NaN and Infinity are strings."""
    return [float(value) for value in values] if isinstance(values, list) else float(values)


@pytest.mark.parametrize("case", json.loads(CASES.read_text("utf-8"))["cases"], ids=str)
def test_errors_are_those_worked_out_by_hand(case: dict[str, Any]) -> None:
    dtype = np.int64 if case["name"].endswith("ids") else np.float32
    want = np.array(numbers(case["want"])).astype(dtype).reshape(case["dims"])
    got = np.array(numbers(case["got"])).astype(dtype).reshape(case.get("gotDims", case["dims"]))
    # Of the tokens that are listed, and of all experts.
    probs_name = f"layer_0_{'router' if 'expert' in case['name'] else 'lens'}_probs"
    run = {}
    if "probs" in case:
        probs = np.array(case["probs"], dtype=np.float32)
        run = {probs_name: probs.reshape(*case["dims"][:-1], -1)}
    values = {case["name"]: want, **run}
    kinds = ("q", "attn_scores", "lens_ids", "lens_probs", "expert_ids", "router_probs")
    record = record_of(case["measure"], dict.fromkeys(kinds, 1))
    found = compare_pass({**run, case["name"]: got}, ReferencePass(want, values), record)
    assert found.worst.error == pytest.approx(numbers(case["error"]), abs=1e-12)


def record_of(measure: str, bounds: dict[str, float]) -> ReferencePassRecord:
    record = {"path": PASS, "reference": "pytorch", "runtime": "PyTorch", "measure": measure}
    return cast(ReferencePassRecord, {**record, "bounds": bounds})


def test_the_first_to_depart_is_told_and_the_worst() -> None:
    names = ("layer_0_q", "layer_0_k", "layer_1_q", "logits")
    want = {name: np.ones((1, 1, 2), dtype=np.float32) for name in names}
    got = {
        name: values * factor
        for (name, values), factor in zip(want.items(), (1, 1.5, 3, 1), strict=True)
    }
    record = record_of("largest", {"q": 0.1, "k": 0.1, "logits": 0.1})
    found = compare_pass(got, ReferencePass(np.ones((1, 1)), want), record)
    assert found.first is not None
    assert (found.first.name, found.worst.name, found.compared) == ("layer_0_k", "layer_1_q", 4)
    # An error within a wider bound is no failure, even if it is larger.
    wide = record_of("largest", {"q": 9.0, "k": 0.6, "logits": 0.1})
    found = compare_pass(got, ReferencePass(np.ones((1, 1)), want), wide)
    assert (found.first, found.worst.name) == (None, "layer_1_q")
    # An activation that is missing from the run counts as a failure.
    found = compare_pass(
        {**got, "logits": np.ones((1, 1, 3))}, ReferencePass(np.ones((1, 1)), want), wide
    )
    assert found.first is not None
    assert (found.first.name, found.first.error) == ("logits", math.inf)


def stored(bundle: Path, path: str = PASS) -> dict[str, np.ndarray[Any, Any]]:
    return load((bundle / path).read_bytes())


def test_the_pass_is_what_transformers_computes(
    tiny_gpt2_checkpoint: Path, tiny_gpt2_bundle: Path
) -> None:
    found = stored(tiny_gpt2_bundle)
    model = GPT2LMHeadModel.from_pretrained(tiny_gpt2_checkpoint, attn_implementation="eager")
    ids = torch.from_numpy(found["input_ids"])
    with torch.no_grad():
        out = model(ids, output_hidden_states=True, output_attentions=True)
    assert ids.shape == (1, 8)
    for layer in range(4):
        names = (f"layer_{layer}_resid_pre", f"layer_{layer}_attn_probs")
        for name, value in zip(
            names, (out.hidden_states[layer], out.attentions[layer]), strict=True
        ):
            np.testing.assert_allclose(found[name], value.numpy(), rtol=0, atol=1e-5)
    np.testing.assert_allclose(found["logits"], out.logits[:, -1:].numpy(), rtol=0, atol=1e-4)
    shape = read_manifest(tiny_gpt2_bundle).shape
    assert {*found} == {"input_ids", *(spec.name for spec in all_activations(shape))}


@pytest.mark.parametrize("checkpoint", ["tiny_gpt2_checkpoint", "tiny_llama_checkpoint"])
def test_weights_are_in_memory_one_module_at_a_time(
    checkpoint: str, request: pytest.FixtureRequest
) -> None:
    loaded = load_model(find_checkpoint(str(request.getfixturevalue(checkpoint))))
    held: dict[int, str] = {}
    seen: set[str] = set()
    together: set[frozenset[str]] = set()

    def read(name: str) -> torch.Tensor:
        found = loaded.checkpoint.read(name).clone()
        held[id(found)] = name
        weakref.finalize(found, held.pop, id(found))
        seen.add(name)
        together.add(frozenset(held.values()))
        return found

    ids = np.array([[3, 1, 4, 1, 5]])
    found = torch_activations(reference_reading(loaded, read), ids)
    want = torch_activations(Reference(loaded), ids)
    assert found.keys() == want.keys() and all((found[k] == want[k]).all() for k in want)
    assert seen == {*loaded.checkpoint.tensors} and not held
    # A weight and its bias are a module's; no other two are there at once.
    assert all(len({name.rpartition(".")[0] for name in names}) == 1 for names in together)


def test_a_reference_that_lacks_a_weight_computes_nothing(tiny_gpt2_checkpoint: Path) -> None:
    """What reads a module's weight from outside of it must not compute with a placeholder."""
    loaded = load_model(find_checkpoint(str(tiny_gpt2_checkpoint)))
    reference = reference_reading(loaded, loaded.checkpoint.read)
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        (reference.model.get_parameter("transformer.wte.weight") @ torch.ones(24)).numpy()


def test_an_export_reads_weights_for_its_passes_as_they_are_needed(
    tiny_gpt2_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def loads_all(*_: object) -> None:
        raise AssertionError("the whole model is loaded")

    monkeypatch.setattr(run_reference, "_folder_or_weights", loads_all)
    out = tmp_path / "bundle"
    flags = ["--precision", "q8", "--allow-lossy"]
    assert main(["export", "--model", str(tiny_gpt2_checkpoint), "--output", str(out), *flags]) == 0
    assert {v["reference_pass"]["reference"] for v in read_manifest(out).variants} == {"pytorch"}


def test_each_encoding_has_a_pass_of_its_own_weights(
    tiny_gpt2_checkpoint: Path, tmp_path: Path
) -> None:
    """The bundle was exported with its checkpoint, so PyTorch expands the weights by another
    method."""
    out = tmp_path / "bundle"
    flags = ["--precision", "f16,q8,int8", "--allow-lossy"]
    command = ["export", "--model", str(tiny_gpt2_checkpoint), "--output", str(out), *flags]
    assert main(command) == 0
    records = {v["name"]: v["reference_pass"] for v in read_manifest(out).variants}
    assert {record["reference"] for record in records.values()} == {"pytorch"}
    assert records["q8"]["path"] == records["int8"]["path"] != records["fp32"]["path"]
    assert (records["q8"]["measure"], records["int8"]["measure"]) == ("largest", "norm")
    exact, rounded = stored(out), stored(out, records["q8"]["path"])
    # The embedding, rounded to 8 bits by rows, differs slightly from the checkpoint's.
    gap = np.abs(rounded["embedding_sum"] - exact["embedding_sum"]).max()
    assert 1e-5 < gap < 0.02
    assert main(["check-device", str(out)]) == 0


def test_what_is_quantized_without_the_checkpoint_has_its_own_run(
    quantized_gpt2_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = {
        v["name"]: v["reference_pass"] for v in read_manifest(quantized_gpt2_bundle).variants
    }
    assert records.pop("fp32")["reference"] == "pytorch"
    assert {record["reference"] for record in records.values()} == {"runtime"}
    assert len({record["path"] for record in records.values()}) == 7
    assert main(["check-device", str(quantized_gpt2_bundle), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["passed"]
    assert [found["verdict"] for found in report["variants"]] == ["right"] * 8


def sign(bundle: Path, path: str) -> None:
    """Update the manifest's digest of a changed file."""
    manifest = json.loads((bundle / "manifest.json").read_text("utf-8"))
    raw = (bundle / path).read_bytes()
    (file,) = (file for file in manifest["files"] if file["path"] == path)
    file |= {"bytes": len(raw), "digest": f"sha256:{hashlib.sha256(raw).hexdigest()}"}
    (bundle / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")


@pytest.fixture
def bundle(tiny_gpt2_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_gpt2_bundle, tmp_path / "bundle"))


def break_weight(bundle: Path, value: float) -> None:
    """Change one weight matrix of layer 2, and update all digests."""
    graph = onnx.load(bundle / "model.onnx", load_external_data=False).graph
    (tensor,) = (tensor for tensor in graph.initializer if tensor.name == WRONG)
    place = ExternalDataInfo(tensor)
    count = math.prod(tensor.dims)
    with (bundle / place.location).open("r+b") as handle:
        handle.seek(int(place.offset or 0))  # type: ignore[redundant-expr]
        handle.write(np.full(count, value, dtype="<f4").tobytes())
    sign(bundle, place.location)


@pytest.mark.parametrize("value", [0.01, math.nan])
def test_a_wrong_weight_is_told_with_its_layer(
    value: float, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    break_weight(bundle, value)
    assert main(["check-device", str(bundle)]) == 1
    said = capsys.readouterr().out
    assert "fp32: WRONG, first at layer_2_mlp_output, off by" in said
    assert "NOT proven" in said
    assert main(["check-device", str(bundle), "--json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)["variants"]
    assert found["first"]["name"] == "layer_2_mlp_output"
    assert (found["first"]["error"] is None) == math.isnan(value)
    assert found["verdict"] == "wrong"


def test_an_export_puts_pytorch_in_the_place_of_a_variants_own_run(
    tiny_gpt2_checkpoint: Path, tmp_path: Path
) -> None:
    out = tmp_path / "bundle"
    export = ["export", "--model", str(tiny_gpt2_checkpoint), "--output", str(out)]
    assert main(export) == 0
    assert main(["quantize", str(out), "--precision", "f16"]) == 0
    own = [v["reference_pass"]["reference"] for v in read_manifest(out).variants]
    assert own == ["pytorch", "runtime"]
    for _ in range(2):
        assert main([*export, "--precision", "f16"]) == 0
        references = [v["reference_pass"]["reference"] for v in read_manifest(out).variants]
        assert references == ["pytorch", "pytorch"]


@contextmanager
def served(folder: Path) -> Iterator[str]:
    handler = functools.partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


def test_a_published_model_is_checked_by_its_address_and_its_folder(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = FolderPlace(str(tmp_path / "www"))
    publish(bundle, place, "1", Silent(), 4096)
    assert main(["check-device", str(place.folder)]) == 0
    with served(place.folder) as address:
        assert main(["check-device", address, "--variant", "fp32"]) == 0
        assert "the model's numbers" in capsys.readouterr().out
        assert main(["check-device", f"{address}nowhere/manifest.json"]) == 2
        assert "can't be fetched; got status 404; expected 200" in capsys.readouterr().err
        chunk = next((place.folder / "chunks").glob("*.bin"))
        chunk.write_bytes(bytes(chunk.stat().st_size))
        assert main(["check-device", address]) == 2
        assert "holds other bytes than the manifest says" in capsys.readouterr().err


Tensors = dict[str, np.ndarray[Any, Any]]
HOSTILE: dict[str, tuple[Callable[[Tensors], object], str]] = {
    "an activation too few": (lambda t: t.pop("layer_3_q"), "got no layer_3_q; expected float32"),
    "an activation of another shape": (
        lambda t: t.update(layer_0_q=t["layer_0_q"][:, :2]),
        "got layer_0_q: float32 [1, 2, 8, 8]; expected float32 [1, 3, 8, 8]",
    ),
    "an activation of another dtype": (
        lambda t: t.update(layer_0_q=t["layer_0_q"].astype(np.float64)),
        "got layer_0_q: float64",
    ),
    "NaN": (
        lambda t: t["logits"].__setitem__((0, 0, 5), np.nan),
        "got logits holds NaN or infinity; expected finite numbers",
    ),
    "something else": (lambda t: t.update(more=np.zeros(3)), "got more as well"),
    "a token beyond the vocabulary": (
        lambda t: t["input_ids"].__setitem__((0, 1), 101),
        "got input_ids from 0 to 101; expected below 101",
    ),
    "no tokens": (lambda t: t.pop("input_ids"), "got input_ids: none; expected int64 of"),
    "more tokens than the model reads": (
        lambda t: t.update(input_ids=np.zeros((1, 33), dtype=np.int64)),
        "got 33 tokens; expected at most 32",
    ),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_pass_that_no_run_gives_is_refused_in_a_line(
    what: str, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, said = HOSTILE[what]
    tensors = {name: array.copy() for name, array in stored(bundle).items()}
    change(tensors)
    (bundle / PASS).write_bytes(save(tensors))
    sign(bundle, PASS)
    assert main(["check-device", str(bundle)]) == 2
    (line,) = (li for li in capsys.readouterr().err.splitlines() if li.startswith("error:"))
    assert f"{PASS} is no reference pass of this model; {said}" in line


def test_other_bytes_a_missing_bound_and_a_large_file_are_refused(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = read_manifest(bundle)
    record, raw = manifest.variants[0]["reference_pass"], (bundle / PASS).read_bytes()
    with pytest.raises(BundleError, match="a safetensors file"):
        read_pass(raw[:-1], record, manifest.shape)
    bounds = {kind: bound for kind, bound in record["bounds"].items() if kind != "v"}
    with pytest.raises(BundleError, match="got no bound of v; expected one in the manifest"):
        read_pass(raw, cast(ReferencePassRecord, {**record, "bounds": bounds}), manifest.shape)
    monkeypatch.setattr(pass_file, "MAX_BYTES", len(raw) - 1)
    with pytest.raises(BundleError, match=f"got {len(raw)} bytes; expected at most"):
        read_pass(raw, record, manifest.shape)


def test_a_bundle_without_passes_says_what_to_do(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text("utf-8"))
    del manifest["variants"][0]["reference_pass"]
    (bundle / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert main(["check-device", str(bundle)]) == 2
    assert "there is nothing to compare with; got no reference pass" in capsys.readouterr().err


def test_a_large_model_has_fewer_tokens_and_the_largest_none() -> None:
    shape = ModelShape(
        layers=32,
        hidden=4096,
        heads=32,
        kv_heads=8,
        head_dim=128,
        intermediate=14336,
        vocab=128256,
        context_length=8192,
        gated_mlp=True,
    )
    fitting = tokens_that_fit(shape)
    # One token of such a layer has over 5 × 4096 + 4 × 14336 float32 numbers.
    assert 1 <= fitting < 8
    assert fitting * 32 * (5 * 4096 + 4 * 14336) * 4 < pass_file.MAX_BYTES
    assert tokens_that_fit(replace(shape, layers=512)) == 0
    assert tokens_that_fit(replace(shape, layers=1, context_length=3)) == 3


def failed_check(bundle: Path, checkpoint: Path) -> str:
    report = verify(bundle, checkpoint)
    (check,) = (c for c in report.variants[0].checks if c.name == "reference_pass")
    return f"{check.verdict}: {check.detail}"


def test_verification_holds_the_pass_to_pytorch(bundle: Path, tiny_gpt2_checkpoint: Path) -> None:
    assert failed_check(bundle, tiny_gpt2_checkpoint).startswith("passed: ")
    tensors = {name: array.copy() for name, array in stored(bundle).items()}
    tensors["layer_1_mlp_act"] *= np.float32(1.0002)
    (bundle / PASS).write_bytes(save(tensors))
    sign(bundle, PASS)
    # A forgery this small is within a device's bounds but not within those of PyTorch.
    assert main(["check-device", str(bundle)]) == 0
    said = failed_check(bundle, tiny_gpt2_checkpoint)
    assert said.startswith("failed: PyTorch departs at layer_1_mlp_act: 0.0002")


def test_verification_refuses_wider_bounds(bundle: Path, tiny_gpt2_checkpoint: Path) -> None:
    manifest = json.loads((bundle / "manifest.json").read_text("utf-8"))
    manifest["variants"][0]["reference_pass"]["bounds"]["mlp_act"] = 0.5
    (bundle / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    said = failed_check(bundle, tiny_gpt2_checkpoint)
    assert said == "failed: mlp_act may be off by 0.5, not 0.0003"


def test_webgpu_without_its_plugin_or_a_graphics_card_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime_ep_webgpu", None)
    webgpu_provider.webgpu_device.cache_clear()
    with pytest.raises(OptionError, match=r"got no onnxruntime-ep-webgpu\. Pip install"):
        webgpu_provider.webgpu_device()
    plugin = ModuleType("onnxruntime_ep_webgpu")
    plugin.get_library_path = lambda: "/nowhere.so"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "onnxruntime_ep_webgpu", plugin)
    with pytest.raises(OptionError, match="onnxruntime-ep-webgpu doesn't load"):
        webgpu_provider.webgpu_device()
