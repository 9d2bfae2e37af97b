"""Tests lens packs: every variant of a bundle reads through them as PyTorch does, and forged,
mismatched and damaged packs are refused in one line and change nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import sys
import threading
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import lens_maps
import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2LMHeadModel

from oriel import Bundle, Scale
from oriel.cli import main
from oriel.contract.manifest import read_manifest
from oriel.errors import BundleError, ContractError, OptionError
from oriel.lenses.bundle_packs import add_pack, add_shipped_packs, keep_packs
from oriel.options import QuantizeOptions
from oriel.progress import Silent
from oriel.quantize_bundle import quantize
from oriel.verification.verify import verify

IDS = [[5, 17, 3, 80, 41, 2, 9, 33], [1, 60, 60, 7, 12, 88, 0, 4]]
Snapshot = dict[str, bytes]


@pytest.fixture(scope="module")
def packs(tiny_gpt2_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("packs")
    return {file.stem: file for file in lens_maps.write_packs_for(tiny_gpt2_bundle, folder)}


@pytest.fixture(scope="module")
def bundle(
    quantized_gpt2_bundle: Path, packs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("lenses") / "tiny-gpt2"
    shutil.copytree(quantized_gpt2_bundle, folder)
    for file in packs.values():
        add_pack(folder, file)
    return folder


@pytest.fixture
def own(bundle: Path, tmp_path: Path) -> Path:
    """Return a copy of the bundle to modify."""
    return Path(shutil.copytree(bundle, tmp_path / "own"))


@pytest.fixture(scope="module")
def model(tiny_gpt2_checkpoint: Path) -> GPT2LMHeadModel:
    found: GPT2LMHeadModel = GPT2LMHeadModel.from_pretrained(tiny_gpt2_checkpoint)
    return found


def distributions(model: GPT2LMHeadModel, kind: str) -> list[torch.Tensor]:
    """Return PyTorch's prediction from each layer: (batch, seq, vocab)."""
    streams: list[torch.Tensor] = []
    hooks = [
        block.register_forward_hook(
            lambda _m, _i, out: streams.append(out[0] if isinstance(out, tuple) else out)
        )
        for block in model.transformer.h
    ]
    with torch.no_grad():
        model(torch.tensor(IDS))
    for hook in hooks:
        hook.remove()
    return lens_maps.read_through(kind, streams, model.transformer.ln_f, model.lm_head)


@pytest.mark.parametrize("kind", lens_maps.KINDS)
def test_each_lens_reads_as_pytorch_does(bundle: Path, model: GPT2LMHeadModel, kind: str) -> None:
    with Bundle(bundle) as opened:
        assert opened.lenses == ("logit", "tuned", "jacobian")
        run = opened.run(IDS, lens=kind)
        logit = opened.run(IDS, lens="logit")
    for layer, right in enumerate(distributions(model, kind)):
        best = right.topk(10)
        np.testing.assert_allclose(run.of("lens_probs", layer), best.values, rtol=0, atol=1e-4)
        named = right.gather(-1, torch.from_numpy(run.of("lens_ids", layer)))
        np.testing.assert_allclose(named, best.values, rtol=0, atol=1e-4)
        same = np.allclose(run.of("lens_probs", layer), logit.of("lens_probs", layer), atol=1e-3)
        assert same == (layer == 3)


VARIANTS = {"f16": 0.01, "q8": 0.05, "fp16": 0.01, "int8": 0.3, "int8_static": 0.5, "int4": 0.8}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_reads_through_its_own_stream(
    bundle: Path, packs: dict[str, Path], variant: str
) -> None:
    """Replace the last stream by the map's result, computed from the variant's own stream: the
    graph's logits must equal the lens's."""
    maps = lens_maps.lens_maps("tuned", 4, 24)
    with Bundle(bundle, variant) as opened:
        run = opened.run(IDS, ["resid_post", "lens_probs"], lens="tuned")
        for layer in range(3):
            stream = torch.from_numpy(run.of("resid_post", layer))
            read = lens_maps.mapped("tuned", maps[layer], stream).numpy()
            from oriel import Replace

            patched = opened.run(IDS, edits=[Replace("resid_post", layer=3, value=read)])
            right = torch.from_numpy(patched.logits).softmax(-1).topk(10).values.numpy()
            # int8 ranges cover the whole tensor, so they are equal in both runs.
            np.testing.assert_allclose(run.of("lens_probs", layer), right, rtol=0, atol=2e-3)


def test_a_lens_reads_an_edited_stream_and_padded_texts(bundle: Path) -> None:
    with Bundle(bundle) as opened:
        edit = [Scale("mlp_output", layer=0)]
        untouched = opened.run(IDS, lens="tuned")
        edited = opened.run(IDS, edits=edit, lens="tuned")
        alone = opened.run(IDS[0], lens="tuned")
        padded = opened.run([IDS[0], IDS[1][:3]], lens="tuned")
    first = untouched.of("lens_probs", 0)
    assert np.abs(edited.of("lens_probs", 0) - first).max() > 1e-3
    np.testing.assert_allclose(
        alone.of("lens_probs", 2)[0], untouched.of("lens_probs", 2)[0], atol=1e-5
    )
    np.testing.assert_allclose(
        padded.of("lens_probs", 2)[0], alone.of("lens_probs", 2)[0], atol=1e-5
    )


def test_only_wanted_layers_are_read_and_any_lens_serves_other_activations(bundle: Path) -> None:
    with Bundle(bundle) as opened:
        run = opened.run(IDS, ["layer_1_lens_probs"], lens="jacobian")
        assert set(run) == {"layer_1_lens_probs", "logits"}
        other = opened.run(IDS, ["layer_1_lens_probs"])
        assert not np.allclose(run["layer_1_lens_probs"], other["layer_1_lens_probs"], atol=1e-3)
        again = opened.run(IDS, ["layer_1_lens_probs"], lens="jacobian")
        np.testing.assert_array_equal(run["layer_1_lens_probs"], again["layer_1_lens_probs"])


def test_verification_covers_packs_and_catches_changed_ones(
    own: Path, tiny_gpt2_checkpoint: Path
) -> None:
    report = verify(own, tiny_gpt2_checkpoint)
    checks = {check.name: check.verdict for check in report.checks}
    assert checks["lens_tuned"] == checks["lens_jacobian"] == "passed"
    for variant in report.variants:
        found = {check.name: check for check in variant.checks}
        for kind in lens_maps.KINDS:
            assert found[f"lens_{kind}_runs"].verdict == "passed", (variant.name, kind)


def change_taps(folder: Path, change: Callable[[onnx.GraphProto, int], None]) -> None:
    """Modify the graphs of the tuned lens's taps in every variant."""
    file = folder / "manifest.json"
    data = json.loads(file.read_text("utf-8"))
    for taps in data["lens_packs"][0]["taps"].values():
        for layer, tap in enumerate(taps):
            model = onnx.ModelProto.FromString(base64.b64decode(tap["bytes"]))
            change(model.graph, layer)
            payload = model.SerializeToString(deterministic=True)
            tap["bytes"] = base64.b64encode(payload).decode()
    file.write_text(json.dumps(data), "utf-8")


def failed(folder: Path, checkpoint: Path) -> set[str]:
    report = verify(folder, checkpoint)
    checks = [*report.checks, *(check for variant in report.variants for check in variant.checks)]
    return {check.name for check in checks if check.verdict == "failed"}


@pytest.fixture
def small(tiny_gpt2_bundle: Path, packs: dict[str, Path], tmp_path: Path) -> Path:
    """Return a bundle of one variant with the tuned lens, to modify."""
    folder = Path(shutil.copytree(tiny_gpt2_bundle, tmp_path / "small"))
    add_pack(folder, packs["tuned"])
    return folder


def test_a_tap_that_leaves_the_bias_out_is_caught(small: Path, tiny_gpt2_checkpoint: Path) -> None:
    def without_bias(graph: onnx.GraphProto, layer: int) -> None:
        for node in graph.node:
            for at, name in enumerate(node.input):
                if name == f"layer_{layer}_lens/moved":
                    node.input[at] = f"layer_{layer}_lens/product"

    change_taps(small, without_bias)
    assert failed(small, tiny_gpt2_checkpoint) == {"lens_tuned_runs"}


def test_a_tap_that_reads_another_layers_map_is_caught(
    small: Path, tiny_gpt2_checkpoint: Path
) -> None:
    record = read_manifest(small).data["lens_packs"][0]
    first = onnx.ModelProto.FromString(base64.b64decode(record["taps"]["fp32"][0]["bytes"])).graph
    places = [
        {entry.key: entry.value for entry in tensor.external_data} for tensor in first.initializer
    ]

    def of_the_first(graph: onnx.GraphProto, layer: int) -> None:
        for tensor, place in zip(graph.initializer, places, strict=True):
            for entry in tensor.external_data:
                entry.value = place[entry.key]

    change_taps(small, of_the_first)
    assert failed(small, tiny_gpt2_checkpoint) == {"lens_tuned", "lens_tuned_runs"}
    with (
        Bundle(small) as opened,
        pytest.raises(BundleError, match="isn't the one that the manifest"),
    ):
        opened.run(IDS, lens="tuned")


def test_changed_maps_are_caught(small: Path, tiny_gpt2_checkpoint: Path) -> None:
    file = next(small.glob("lens_*.safetensors"))
    data = bytearray(file.read_bytes())
    data[-2] ^= 1
    file.write_bytes(bytes(data))
    assert failed(small, tiny_gpt2_checkpoint) >= {"file_digests", "lens_tuned"}
    with Bundle(small) as opened, pytest.raises(BundleError, match="digest"):
        opened.run(IDS, lens="tuned")


def test_new_variants_get_the_packs_taps(small: Path) -> None:
    quantize(QuantizeOptions(graph=small, precision=("int8",), allow_lossy=True), Silent())
    assert set(read_manifest(small).data["lens_packs"][0]["taps"]) == {"fp32", "int8"}
    with Bundle(small, "int8") as opened:
        assert "layer_0_lens_probs" in opened.run(IDS, lens="tuned")


def test_exporting_again_keeps_the_packs_of_the_same_weights(
    small: Path, tiny_gpt2_checkpoint: Path, tmp_path: Path
) -> None:
    words = ["export", "--output", str(small), "--allow-lossy"]
    packs = {file.name: file.read_bytes() for file in small.glob("lens_*.safetensors")}
    assert main([*words, "--model", str(tiny_gpt2_checkpoint), "--precision", "f16"]) == 0
    assert {file.name: file.read_bytes() for file in small.glob("lens_*.safetensors")} == packs
    kept = read_manifest(small).data["lens_packs"]
    assert [pack["name"] for pack in kept] == ["tuned"] and set(kept[0]["taps"]) == {"fp32", "f16"}
    # Other weights have another lens.
    other = shutil.copytree(tiny_gpt2_checkpoint, tmp_path / "other")
    tensors = load_file(other / "model.safetensors")
    tensors["transformer.ln_f.bias"] += 1
    save_file(tensors, other / "model.safetensors", {"format": "pt"})
    assert main([*words, "--model", str(other)]) == 0
    assert "lens_packs" not in read_manifest(small).data and not list(small.glob("lens_*"))


def test_an_unsound_pack_is_left_out_alone(small: Path, packs: dict[str, Path]) -> None:
    add_pack(small, packs["jacobian"])
    data = read_manifest(small).data
    first, second = data["lens_packs"]
    (small / first["path"]).write_bytes(b"something else")
    new = deepcopy(data)
    del new["lens_packs"]
    new["files"] = [each for each in new["files"] if not each["path"].startswith("lens_")]
    place = small.parent / "new"
    place.mkdir()
    for graph in small.glob("*.onnx"):
        shutil.copy(graph, place)
    keep_packs(place, new, small)
    assert new["lens_packs"] == [second] and (place / second["path"]).exists()


def test_ones_own_of_a_shipped_ones_name_stays(small: Path, packs: dict[str, Path]) -> None:
    """Of those that ship with the model, the ones that are missing are added."""
    data = deepcopy(read_manifest(small).data)
    (tuned,) = data["lens_packs"]
    shipped = {"tuned": packs["jacobian"], "again": packs["tuned"], "other": packs["jacobian"]}
    add_shipped_packs(small, data, shipped)
    kept, added = data["lens_packs"]
    assert kept == tuned and added["name"] == "other"


def test_a_pack_of_the_same_name_takes_the_place_of_the_other(
    small: Path, packs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["add-lens", str(small), str(packs["jacobian"]), "--name", "tuned"]
    assert main(words) == 0
    data = read_manifest(small).data
    assert [pack["description"]["kind"] for pack in data["lens_packs"]] == ["jacobian"]
    assert len(list(small.glob("lens_*.safetensors"))) == 1
    assert capsys.readouterr().out.strip() == f"{small} has the lens tuned"


def snapshot(folder: Path) -> Snapshot:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def forged(
    pack: Path, folder: Path, change: Callable[[dict[str, Any], dict[str, Any]], None]
) -> Path:
    """Write a copy of a pack with modified tensors and description."""
    from safetensors import safe_open

    tensors = load_file(pack)
    with safe_open(pack, framework="pt") as opened:
        said = json.loads(opened.metadata()["oriel.lens_pack"])
    change(tensors, said)
    out = folder / "forged.safetensors"
    save_file(tensors, out, {"oriel.lens_pack": json.dumps(said)})
    return out


def not_a_number(tensors: dict[str, Any], _: dict[str, Any]) -> None:
    tensors["layer_1.weight"][3, 4] = float("nan")


def infinite(tensors: dict[str, Any], _: dict[str, Any]) -> None:
    tensors["layer_2.bias"][0] = float("inf")


def narrow(tensors: dict[str, Any], _: dict[str, Any]) -> None:
    tensors["layer_1.weight"] = tensors["layer_1.weight"][:, :5].contiguous()


def one_less(tensors: dict[str, Any], _: dict[str, Any]) -> None:
    del tensors["layer_2.bias"]


def one_more(tensors: dict[str, Any], _: dict[str, Any]) -> None:
    tensors["layer_3.weight"] = tensors["layer_0.weight"].clone()


def wide(tensors: dict[str, Any], _: dict[str, Any]) -> None:
    tensors["layer_0.weight"] = tensors["layer_0.weight"].double()


def foreign(_: dict[str, Any], said: dict[str, Any]) -> None:
    said["weights"] = f"sha256:{'0' * 64}"


def unknown_kind(_: dict[str, Any], said: dict[str, Any]) -> None:
    said["kind"] = "prism"


def other_kind(_: dict[str, Any], said: dict[str, Any]) -> None:
    said["kind"] = "jacobian"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (not_a_number, "layer_1.weight with numbers that aren't finite"),
        (infinite, "layer_2.bias with numbers that aren't finite"),
        (narrow, "got layer_1.weight 24 × 5; expected 24 × 24"),
        (one_less, "got layer_2.bias no such tensor; expected 24"),
        (one_more, "got layer_3.weight 24 × 24; expected no such tensor"),
        (wide, "layer_0.weight in no known way; expected float32 or float16"),
        (foreign, "belongs to another model; got sha256:0000000000000000…; expected sha256:"),
        (unknown_kind, "'prism' is not one of ['tuned', 'jacobian']"),
        (other_kind, "layer_0.bias 24; expected no such tensor"),
    ],
)
def test_a_forged_pack_is_refused_in_a_line_and_changes_nothing(
    small: Path,
    packs: dict[str, Path],
    change: Callable[[dict[str, Any], dict[str, Any]], None],
    said: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = snapshot(small)
    pack = forged(packs["tuned"], small.parent, change)
    assert main(["add-lens", str(small), str(pack)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert snapshot(small) == before


@pytest.mark.parametrize("length", [0, 5, 60, 900, -1])
def test_a_pack_cut_short_is_refused(
    small: Path, packs: dict[str, Path], length: int, capsys: pytest.CaptureFixture[str]
) -> None:
    before = snapshot(small)
    cut = small.parent / "cut.safetensors"
    cut.write_bytes(packs["tuned"].read_bytes()[:length])
    assert main(["add-lens", str(small), str(cut)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "cut.safetensors is no lens pack that can be used" in line
    assert snapshot(small) == before


@pytest.mark.parametrize("name", ["logit", "Tuned", "../up", ""])
def test_a_name_that_is_none_is_refused(small: Path, packs: dict[str, Path], name: str) -> None:
    before = snapshot(small)
    if name:
        with pytest.raises(OptionError, match="--name can't be a lens's"):
            add_pack(small, packs["tuned"], name)
    else:
        assert add_pack(small, packs["tuned"], name) == "tuned"
        return
    assert snapshot(small) == before


def test_an_unknown_lens_is_refused_before_anything_runs(bundle: Path) -> None:
    with Bundle(bundle) as opened:
        with pytest.raises(
            OptionError, match="no such lens; got prism; expected one of logit, tuned"
        ):
            opened.run(IDS, lens="prism")
        assert not opened._sessions


def test_a_manifest_of_another_models_pack_is_refused(small: Path) -> None:
    file = small / "manifest.json"
    data = json.loads(file.read_text("utf-8"))
    data["lens_packs"][0]["description"]["weights"] = f"sha256:{'0' * 64}"
    file.write_text(json.dumps(data), "utf-8")
    with pytest.raises(ContractError, match="lens tuned belongs to another model"):
        Bundle(small)


def test_the_packs_file_is_named_by_its_digest(small: Path, packs: dict[str, Path]) -> None:
    digest = hashlib.sha256(packs["tuned"].read_bytes()).hexdigest()
    assert (small / f"lens_{digest}.safetensors").read_bytes() == packs["tuned"].read_bytes()


def test_reading_through_a_lens_needs_no_torch(small: Path, tmp_path: Path) -> None:
    import subprocess

    script = (
        "import sys, oriel; sys.modules['torch'] = None; "
        f"run = oriel.Bundle({str(small)!r}).run([1, 2, 3], lens='tuned'); "
        "print(run.of('lens_ids', 0).shape)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "(1, 3, 10)"


def test_publishing_carries_the_packs_file_and_check_url_reads_it(
    small: Path, packs: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    site = small.parent / "site"
    assert main(["publish", str(small), "--to", str(site / "model"), "--version", "1"]) == 0
    manifest = read_manifest(site / "model")
    (record,) = manifest.data["lens_packs"]
    chunks = manifest.file(record["path"])["chunks"]
    whole = b"".join((site / "model" / chunk["path"]).read_bytes() for chunk in chunks)
    assert whole == packs["tuned"].read_bytes()
    handler = partial(SimpleHTTPRequestHandler, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/model/"
        capsys.readouterr()
        main(["check-url", address, "--json"])
        damaged = site / "model" / chunks[-1]["path"]
        sound = json.loads(capsys.readouterr().out)
        data = bytearray(damaged.read_bytes())
        data[-1] ^= 1
        damaged.write_bytes(bytes(data))
        main(["check-url", address, "--json"])
        server.shutdown()
    broken = json.loads(capsys.readouterr().out)
    said = [{finding["what"] for finding in each["findings"]} for each in (sound, broken)]
    assert len(said[1] - said[0]) == 1, said
