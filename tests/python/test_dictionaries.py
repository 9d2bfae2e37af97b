"""Tests dictionaries: every variant of a bundle computes their features as PyTorch does, and
forged, mismatched and damaged files are refused in one line and change nothing."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import lens_maps
import numpy as np
import onnx
import pytest
import random_dictionaries
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2LMHeadModel

from oriel import Add, Bundle
from oriel.cli import main
from oriel.contract.dictionaries import most_dictionaries
from oriel.contract.limits import limits
from oriel.contract.manifest import read_manifest
from oriel.dictionaries.bundle_dictionaries import (
    add_dictionary,
    add_shipped_dictionaries,
    keep_dictionaries,
)
from oriel.dictionaries.dictionary_file import (
    Dictionary,
    dictionary_bytes,
    read_dictionary,
    token_rows,
)
from oriel.errors import BundleError, ContractError, OptionError
from oriel.lenses.bundle_packs import add_pack
from oriel.notebook.record import Asked, analysis_record
from oriel.options import QuantizeOptions
from oriel.progress import Silent
from oriel.quantize_bundle import quantize
from oriel.verification.dictionary_checks import feature_error
from oriel.verification.verify import verify

IDS = [[5, 17, 3, 80, 41, 2, 9, 33], [1, 60, 60, 7, 12, 88, 0, 4]]


def read(file: Path, bundle: Path) -> Dictionary:
    manifest = read_manifest(bundle)
    return read_dictionary(file, manifest.shape, manifest.data["model"]["weights_digest"])


@pytest.fixture(scope="module")
def files(tiny_gpt2_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("dictionaries")
    return random_dictionaries.write_all(tiny_gpt2_bundle, folder)


@pytest.fixture(scope="module")
def bundle(
    quantized_gpt2_bundle: Path, files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("with_dictionaries") / "tiny-gpt2"
    shutil.copytree(quantized_gpt2_bundle, folder)
    for name, file in files.items():
        add_dictionary(folder, read(file, folder), name)
    return folder


@pytest.fixture(scope="module")
def model(tiny_gpt2_checkpoint: Path) -> GPT2LMHeadModel:
    found: GPT2LMHeadModel = GPT2LMHeadModel.from_pretrained(tiny_gpt2_checkpoint)
    return found


def activations(model: GPT2LMHeadModel) -> dict[str, torch.Tensor]:
    """Return what PyTorch's modules give for IDS, by the kind and layer that a dictionary reads."""
    found: dict[str, torch.Tensor] = {}
    hooks = []
    for layer, block in enumerate(model.transformer.h):
        for kind, module in (("resid_post", block), ("mlp_output", block.get_submodule("mlp"))):
            hooks.append(module.register_forward_hook(_keep(found, f"{kind}_{layer}")))
        # The last projection of each part reads the neurons and the heads, one after another.
        for kind, part in (("mlp_act", "mlp"), ("attn_z", "attn")):
            last = block.get_submodule(f"{part}.c_proj")
            hooks.append(last.register_forward_pre_hook(_keep_input(found, f"{kind}_{layer}")))
    with torch.no_grad():
        model(torch.tensor(IDS))
    for hook in hooks:
        hook.remove()
    return found


def _keep(found: dict[str, torch.Tensor], name: str) -> Callable[..., None]:
    def hook(_module: object, _given: object, out: Any) -> None:
        found[name] = out[0] if isinstance(out, tuple) else out

    return hook


def _keep_input(found: dict[str, torch.Tensor], name: str) -> Callable[..., None]:
    def hook(_module: object, given: tuple[torch.Tensor, ...]) -> None:
        found[name] = given[0]

    return hook


@pytest.mark.parametrize("name", random_dictionaries.CASES)
def test_features_equal_pytorchs(bundle: Path, model: GPT2LMHeadModel, name: str) -> None:
    case = random_dictionaries.CASES[name]
    rows = activations(model)[f"{case.reads[0]}_{case.reads[1]}"]
    right = random_dictionaries.features(name, rows)
    with Bundle(bundle) as opened:
        assert opened.dictionaries == tuple(random_dictionaries.CASES)
        output = f"features_{name}"
        run = opened.run(IDS, [output, f"layer_{case.reads[1]}_{case.reads[0]}"])
        assert set(run) == {output, f"layer_{case.reads[1]}_{case.reads[0]}", "logits"}
        np.testing.assert_allclose(run[output], right, rtol=0, atol=1e-4)
        # A feature that is 0 must be exactly 0, and most are.
        zeros = right.numpy() == 0
        assert 0.3 < zeros.mean() < 1
        np.testing.assert_array_equal(run[output] == 0, zeros)
        own = opened.dictionary(name)
    read_rows = token_rows(run.of(*case.reads))
    np.testing.assert_allclose(own.features(read_rows), run[output], rtol=0, atol=1e-4)
    rebuilt = random_dictionaries.rebuilt(name, right)
    np.testing.assert_allclose(own.rebuild(run[output]), rebuilt, rtol=0, atol=1e-4)


@pytest.mark.parametrize("variant", ["f16", "q8", "fp16", "int8", "int4"])
def test_every_variant_computes_them_from_its_own_activation(bundle: Path, variant: str) -> None:
    with Bundle(bundle, variant) as opened:
        outputs = [f"features_{name}" for name in random_dictionaries.CASES]
        reads = [case.reads for case in random_dictionaries.CASES.values()]
        names = [f"layer_{layer}_{kind}" for kind, layer in reads]
        run = opened.run(IDS, [*outputs, *names])
    for name, case in random_dictionaries.CASES.items():
        rows = torch.from_numpy(token_rows(run.of(*case.reads)))
        right = random_dictionaries.features(name, rows)
        np.testing.assert_allclose(run[f"features_{name}"], right, rtol=0, atol=1e-4)


def test_features_of_a_text_in_two_parts_and_of_padded_texts(bundle: Path) -> None:
    names = ["features_heads", "features_top_5"]
    with Bundle(bundle) as opened:
        whole = opened.run(IDS, names)
        begun = opened.run([row[:5] for row in IDS], names, cache=True)
        rest = opened.run([row[5:] for row in IDS], names, cache=begun.cache)
        padded = opened.run([IDS[0], IDS[1][:3]], names)
    for name in names:
        together = np.concatenate([begun[name], rest[name]], axis=1)
        np.testing.assert_allclose(together, whole[name], rtol=0, atol=1e-5)
        np.testing.assert_allclose(padded[name][0], whole[name][0], rtol=0, atol=1e-5)
        np.testing.assert_allclose(padded[name][1, 5:], whole[name][1, :3], rtol=0, atol=1e-5)


def test_features_are_of_the_edited_activation(bundle: Path) -> None:
    vector = np.linspace(-1, 1, 24, dtype=np.float32)
    with Bundle(bundle) as opened:
        untouched = opened.run(IDS, ["layer_3_mlp_output", "features_jump"])
        edit = Add("mlp_output", layer=3, vector=vector)
        edited = opened.run(IDS, ["features_jump"], edits=[edit])
    rows = torch.from_numpy(untouched["layer_3_mlp_output"] + vector)
    right = random_dictionaries.features("jump", rows)
    np.testing.assert_allclose(edited["features_jump"], right, rtol=0, atol=1e-4)
    assert np.abs(edited["features_jump"] - untouched["features_jump"]).max() > 0.1


def test_a_lens_and_a_dictionary_are_read_in_one_run(small: Path, tmp_path: Path) -> None:
    for pack in lens_maps.write_packs_for(small, tmp_path / "packs"):
        add_pack(small, pack)
    names = ["features_jump", "layer_0_lens_probs"]
    with Bundle(small) as opened:
        both = opened.run(IDS, names, lens="tuned")
        alone = opened.run(IDS, names[:1])
        through = opened.run(IDS, names[1:], lens="tuned")
    np.testing.assert_array_equal(both[names[0]], alone[names[0]])
    np.testing.assert_array_equal(both[names[1]], through[names[1]])
    assert [each["name"] for each in read_manifest(small).data["dictionaries"]] == ["jump"]


def test_of_equal_features_topk_keeps_the_first(tiny_gpt2_bundle: Path, tmp_path: Path) -> None:
    """Each feature but the last has the same row, so that ties decide."""
    held = random_dictionaries.tensors("top_5")
    held["encoder_weight"][:] = 0
    held["encoder_bias"][:] = 1
    held["encoder_bias"][-1] = 2
    weights = read_manifest(tiny_gpt2_bundle).data["model"]["weights_digest"]
    file = tmp_path / "equal.safetensors"
    random_dictionaries.write(file, held, random_dictionaries.description("top_5", weights))
    folder = Path(shutil.copytree(tiny_gpt2_bundle, tmp_path / "own"))
    add_dictionary(folder, read(file, folder), "equal")
    with Bundle(folder) as opened:
        found = opened.run([1, 2], ["features_equal"])["features_equal"]
        own = opened.dictionary("equal").features(np.zeros((1, 2, 52), dtype=np.float32))
    right = np.zeros(40)
    right[:4], right[-1] = 1, 2
    np.testing.assert_array_equal(found, np.broadcast_to(right, (1, 2, 40)))
    np.testing.assert_array_equal(own, found)


def test_a_name_that_the_bundle_does_not_have_is_refused(bundle: Path) -> None:
    with Bundle(bundle) as opened:
        with pytest.raises(OptionError, match=r"got features_prism; expected .* features_relu"):
            opened.run(IDS, ["features_prism"])
        with pytest.raises(OptionError, match="no such dictionary; got prism; expected one of rel"):
            opened.dictionary("prism")
        assert not any(name.startswith("features_") for name in opened.names("all"))


def test_features_need_no_torch(bundle: Path) -> None:
    script = (
        "import sys, oriel; sys.modules['torch'] = None; "
        f"opened = oriel.Bundle({str(bundle)!r}); "
        "print(opened.run([1, 2, 3], ['features_relu'])['features_relu'].shape)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "(1, 3, 40)"


def test_its_bytes_can_be_written_again(bundle: Path, files: dict[str, Path]) -> None:
    for name in ("jump", "half"):
        found = read(files[name], bundle)
        again = dictionary_bytes(found.description, found.arrays)
        assert load_file(files[name]).keys() == found.arrays.keys()
        (files[name].parent / "again.safetensors").write_bytes(again)
        other = read(files[name].parent / "again.safetensors", bundle)
        assert other.description == found.description
        for part, values in found.arrays.items():
            assert values.dtype == other.arrays[part].dtype
            np.testing.assert_array_equal(values, other.arrays[part])


@pytest.fixture
def small(tiny_gpt2_bundle: Path, files: dict[str, Path], tmp_path: Path) -> Path:
    """Return a bundle of one variant with the dictionary `jump`, to modify."""
    folder = Path(shutil.copytree(tiny_gpt2_bundle, tmp_path / "small"))
    add_dictionary(folder, read(files["jump"], folder), "jump")
    return folder


def snapshot(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def test_rows_of_another_width_are_refused_in_a_line(small: Path) -> None:
    dictionary = read(next(small.glob("dictionary_*")), small)
    width, features = dictionary.wide("encoder_weight").shape
    refused: list[Any] = [np.zeros((2, 3)), np.zeros((1, 2, 2, 3)), np.float32(1), "some text"]
    for call, expected in ((dictionary.features, width), (dictionary.rebuild, features)):
        for wrong in refused:
            with pytest.raises(OptionError, match=rf"shape \(.*; expected \(…, {expected}\)$"):
                call(wrong)


def test_the_file_is_named_by_its_digest(small: Path, files: dict[str, Path]) -> None:
    digest = hashlib.sha256(files["jump"].read_bytes()).hexdigest()
    there = small / f"dictionary_{digest}.safetensors"
    assert there.read_bytes() == files["jump"].read_bytes()


def test_one_of_the_same_name_takes_the_place_of_the_other(
    small: Path, files: dict[str, Path]
) -> None:
    add_dictionary(small, read(files["relu"], small), "jump")
    (record,) = read_manifest(small).data["dictionaries"]
    assert record["description"]["activation"] == "relu"
    assert len(list(small.glob("dictionary_*.safetensors"))) == 1


def test_one_file_has_one_name(small: Path, files: dict[str, Path]) -> None:
    before = snapshot(small)
    with pytest.raises(OptionError, match="has this dictionary already; got the name other; expe"):
        add_dictionary(small, read(files["jump"], small), "other")
    assert snapshot(small) == before


@pytest.mark.parametrize("name", ["Jump", "mlp-11", "", "../up", "1_up", "a" * 33])
def test_a_name_that_is_none_is_refused(small: Path, files: dict[str, Path], name: str) -> None:
    before = snapshot(small)
    with pytest.raises(OptionError, match="--name can't be a dictionary's"):
        add_dictionary(small, read(files["relu"], small), name)
    assert snapshot(small) == before


def test_new_variants_get_its_tap(small: Path) -> None:
    quantize(QuantizeOptions(graph=small, precision=("int8",), allow_lossy=True), Silent())
    assert set(read_manifest(small).data["dictionaries"][0]["taps"]) == {"fp32", "int8"}
    with Bundle(small, "int8") as opened:
        assert opened.run(IDS, ["features_jump"])["features_jump"].shape == (2, 8, 40)


def test_exporting_again_keeps_those_of_the_same_weights(
    small: Path, tiny_gpt2_checkpoint: Path, tmp_path: Path
) -> None:
    words = ["export", "--output", str(small), "--allow-lossy"]
    held = {file.name: file.read_bytes() for file in small.glob("dictionary_*")}
    assert main([*words, "--model", str(tiny_gpt2_checkpoint), "--precision", "f16"]) == 0
    assert {file.name: file.read_bytes() for file in small.glob("dictionary_*")} == held
    (kept,) = read_manifest(small).data["dictionaries"]
    assert kept["name"] == "jump" and set(kept["taps"]) == {"fp32", "f16"}
    before = snapshot(small)
    assert main([*words, "--model", str(tiny_gpt2_checkpoint), "--precision", "f16"]) == 0
    assert snapshot(small) == before
    # Other weights have other features.
    other = shutil.copytree(tiny_gpt2_checkpoint, tmp_path / "other")
    tensors = load_file(other / "model.safetensors")
    tensors["transformer.ln_f.bias"] += 1
    save_file(tensors, other / "model.safetensors", {"format": "pt"})
    assert main([*words, "--model", str(other)]) == 0
    assert "dictionaries" not in read_manifest(small).data
    assert not list(small.glob("dictionary_*"))


def test_an_unsound_file_is_left_out_alone(small: Path, files: dict[str, Path]) -> None:
    """In a new export of the model: those before and after it are kept."""
    for name in ("relu", "heads"):
        add_dictionary(small, read(files[name], small), name)
    data = read_manifest(small).data
    (small / data["dictionaries"][1]["path"]).write_bytes(b"something else")
    new = deepcopy(data)
    del new["dictionaries"]
    new["files"] = [each for each in new["files"] if not each["path"].startswith("dictionary_")]
    place = small.parent / "new"
    place.mkdir()
    keep_dictionaries(place, new, small)
    jump, _, heads = data["dictionaries"]
    assert new["dictionaries"] == [jump, heads]
    assert {file.name for file in place.iterdir()} == {jump["path"], heads["path"]}


def test_ones_own_of_a_shipped_ones_name_stays(small: Path, files: dict[str, Path]) -> None:
    """Of those that ship with the model, the ones that are missing are added."""
    data = deepcopy(read_manifest(small).data)
    (jump,) = data["dictionaries"]
    shipped = {"jump": files["relu"], "again": files["jump"], "heads": files["heads"]}
    add_shipped_dictionaries(small, data, shipped)
    kept, added = data["dictionaries"]
    assert kept == jump and added["name"] == "heads"


def test_choosing_other_outputs_leaves_it_alone(small: Path) -> None:
    with Bundle(small) as opened:
        before = opened.run(IDS, ["features_jump"])["features_jump"]
    assert main(["select", str(small / "model.onnx"), "--activations", "resid_post"]) == 0
    with Bundle(small) as opened:
        np.testing.assert_array_equal(opened.run(IDS, ["features_jump"])["features_jump"], before)


Held = dict[str, torch.Tensor]


def not_a_number(held: Held, _: dict[str, Any]) -> None:
    held["encoder_weight"][3, 4] = float("nan")


def infinite(held: Held, _: dict[str, Any]) -> None:
    held["decoder_bias"][0] = float("inf")


def below(held: Held, _: dict[str, Any]) -> None:
    held["threshold"][7] = -0.5


def narrow(held: Held, _: dict[str, Any]) -> None:
    held["encoder_weight"] = held["encoder_weight"][:20]


def turned(held: Held, _: dict[str, Any]) -> None:
    held["decoder_weight"] = held["decoder_weight"].T


def without_threshold(held: Held, _: dict[str, Any]) -> None:
    del held["threshold"]


def with_an_input_bias(held: Held, _: dict[str, Any]) -> None:
    held["input_bias"] = torch.zeros(24)


def wide(held: Held, _: dict[str, Any]) -> None:
    held["encoder_bias"] = held["encoder_bias"].double()


def foreign(_: Held, said: dict[str, Any]) -> None:
    said["weights"] = f"sha256:{'0' * 64}"


def of_neurons(_: Held, said: dict[str, Any]) -> None:
    said["reads"] = said["writes"] = {"kind": "mlp_act", "layer": 3}


def of_a_layer_more(_: Held, said: dict[str, Any]) -> None:
    said["reads"] = said["writes"] = {"kind": "mlp_output", "layer": 4}


def elsewhere(_: Held, said: dict[str, Any]) -> None:
    said["writes"] = {"kind": "mlp_output", "layer": 2}


def more_features(_: Held, said: dict[str, Any]) -> None:
    said["features"] = 41


def greatest(_: Held, said: dict[str, Any]) -> None:
    said["activation"] = "topk"


def unknown(_: Held, said: dict[str, Any]) -> None:
    said["activation"] = "gelu"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (not_a_number, "encoder_weight with numbers that aren't finite; expected finite numbers"),
        (infinite, "decoder_bias with numbers that aren't finite; expected finite numbers"),
        (below, "a threshold below 0; expected thresholds of 0 or more"),
        (narrow, "got encoder_weight 20 × 40; expected 24 × 40, by its description"),
        (turned, "got decoder_weight 24 × 40; expected 40 × 24, by its description"),
        (without_threshold, "got threshold no such tensor; expected 40, by its description"),
        (with_an_input_bias, "got input_bias 24; expected no such tensor"),
        (wide, "encoder_bias in no known way; expected float32 or float16 numbers"),
        (foreign, "belongs to another model; got sha256:0000000000000000…; expected sha256:"),
        (of_neurons, "got decoder_bias 24; expected 52, by its description"),
        (of_a_layer_more, "it reads mlp_output of layer 4, which the model doesn't have"),
        (elsewhere, "an SAE that writes another activation than it reads"),
        (more_features, "got decoder_weight 40 × 24; expected 41 × 24, by its description"),
        (greatest, "a k without topk, or topk without a k"),
        (unknown, "'gelu' is not one of ['relu', 'jumprelu', 'topk']"),
    ],
)
def test_a_forged_file_is_refused_in_a_line(
    small: Path,
    files: dict[str, Path],
    tmp_path: Path,
    change: Callable[[Held, dict[str, Any]], None],
    said: str,
) -> None:
    weights = read_manifest(small).data["model"]["weights_digest"]
    held = random_dictionaries.tensors("jump")
    words = random_dictionaries.description("jump", weights)
    change(held, words)
    forged = tmp_path / "forged.safetensors"
    random_dictionaries.write(forged, held, words)
    with pytest.raises(BundleError) as refused:
        read(forged, small)
    assert said in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize("length", [0, 5, 60, 900, -1])
def test_a_file_cut_short_is_refused(
    small: Path, files: dict[str, Path], tmp_path: Path, length: int
) -> None:
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(files["jump"].read_bytes()[:length])
    with pytest.raises(BundleError, match=r"cut\.safetensors is no dictionary that can be used"):
        read(cut, small)


def test_a_file_larger_than_its_tensors_is_refused_unread(
    small: Path, files: dict[str, Path], tmp_path: Path
) -> None:
    """It would be larger than the memory of any machine that runs this."""
    long = Path(shutil.copy(files["jump"], tmp_path / "long.safetensors"))
    os.truncate(long, 1 << 40)
    with pytest.raises(BundleError, match=f"got {1 << 40} bytes; expected"):
        read(long, small)
    there = next(small.glob("dictionary_*"))
    size = there.stat().st_size
    there.unlink()
    os.link(long, there)
    with (
        Bundle(small) as opened,
        pytest.raises(BundleError, match=f"got {1 << 40} bytes; expected {size} bytes"),
    ):
        opened.dictionary("jump")


def test_a_full_bundle_takes_no_more(
    small: Path, files: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oriel.dictionaries.bundle_dictionaries.most_dictionaries", lambda: 1)
    before = snapshot(small)
    with pytest.raises(OptionError, match="the bundle is full; got 2 dictionaries; expected at mo"):
        add_dictionary(small, read(files["relu"], small), "relu")
    assert snapshot(small) == before
    add_dictionary(small, read(files["relu"], small), "jump")
    monkeypatch.undo()
    size = sum(int(file["bytes"]) for file in read_manifest(small).data["files"])
    monkeypatch.setitem(limits()["manifest"], "total_bytes", size)
    before = snapshot(small)
    with pytest.raises(OptionError, match=r"full; got the manifest is unsound: its files have ove"):
        add_dictionary(small, read(files["heads"], small), "heads")
    assert snapshot(small) == before


def test_the_maximum_is_the_schemas() -> None:
    assert most_dictionaries() == 64


def test_a_file_that_is_not_there_is_refused(small: Path) -> None:
    with pytest.raises(BundleError, match=r"the dictionary .*none\.safetensors can't be read"):
        read(small / "none.safetensors", small)


def test_a_changed_file_is_refused_when_it_is_first_used(small: Path) -> None:
    file = next(small.glob("dictionary_*"))
    data = bytearray(file.read_bytes())
    data[-2] ^= 1
    file.write_bytes(bytes(data))
    with Bundle(small) as opened:
        assert opened.run(IDS).logits.shape == (2, 8, 101)
        with pytest.raises(BundleError, match="isn't the one that the manifest describes; got dig"):
            opened.run(IDS, ["features_jump"])
        # Runs that ask for something else, in a new session, aren't refused with it.
        run = opened.run(
            IDS, ["layer_3_mlp_output"], [Add("mlp_output", layer=3, vector=np.ones(24))]
        )
        assert run["layer_3_mlp_output"].shape == (2, 8, 24)


def test_a_tap_that_reads_another_place_of_the_file_is_refused(small: Path) -> None:
    def swap(graph: onnx.GraphProto) -> None:
        biases = [tensor for tensor in graph.initializer if len(tensor.dims) == 1]
        places = [{entry.key: entry.value for entry in each.external_data} for each in biases]
        for tensor, place in zip(biases, reversed(places), strict=True):
            for entry in tensor.external_data:
                entry.value = place[entry.key]

    change_tap(small, swap)
    with Bundle(small) as opened, pytest.raises(BundleError, match="got fp32's tap; expected one"):
        opened.run(IDS, ["features_jump"])


def change_tap(folder: Path, change: Callable[[onnx.GraphProto], None]) -> None:
    """Modify the graph of the dictionary's taps."""
    file = folder / "manifest.json"
    data = json.loads(file.read_text("utf-8"))
    for tap in data["dictionaries"][0]["taps"].values():
        model = onnx.ModelProto.FromString(base64.b64decode(tap["bytes"]))
        change(model.graph)
        tap["bytes"] = base64.b64encode(model.SerializeToString(deterministic=True)).decode()
    file.write_text(json.dumps(data), "utf-8")


def checks(folder: Path, checkpoint: Path) -> dict[str, str]:
    """Return {check: verdict} of a verification, of the bundle and of its one variant."""
    report = verify(folder, checkpoint)
    (variant,) = report.variants
    return {check.name: check.verdict for check in (*report.checks, *variant.checks)}


def failed(folder: Path, checkpoint: Path) -> set[str]:
    return {name for name, said in checks(folder, checkpoint).items() if said == "failed"}


def test_verification_covers_dictionaries(bundle: Path, tiny_gpt2_checkpoint: Path) -> None:
    report = verify(bundle, tiny_gpt2_checkpoint)
    said = {check.name: check.verdict for check in report.checks}
    for name in random_dictionaries.CASES:
        assert said[f"dictionary_{name}"] == "passed"
        for variant in report.variants:
            found = {check.name: check for check in variant.checks}
            assert found[f"dictionary_{name}_runs"].verdict == "passed", (variant.name, name)
            error = found[f"dictionary_{name}_runs"].error
            assert error is not None and error < 1e-5


def test_a_tap_of_another_function_is_caught(small: Path, tiny_gpt2_checkpoint: Path) -> None:
    """The tap keeps everything above 0, whatever the threshold."""

    def without_threshold_node(graph: onnx.GraphProto) -> None:
        where = next(node for node in graph.node if node.op_type == "Where")
        where.op_type = "Relu"
        del where.input[2], where.input[0]

    change_tap(small, without_threshold_node)
    assert failed(small, tiny_gpt2_checkpoint) == {"dictionary_jump_runs"}


def test_a_changed_file_is_caught(small: Path, tiny_gpt2_checkpoint: Path) -> None:
    file = next(small.glob("dictionary_*"))
    data = bytearray(file.read_bytes())
    data[-2] ^= 1
    file.write_bytes(bytes(data))
    assert failed(small, tiny_gpt2_checkpoint) == {
        "file_digests",
        "dictionary_jump",
        "dictionary_jump_runs",
    }


def test_features_near_their_threshold_may_be_kept_or_left_out(
    tiny_gpt2_bundle: Path, files: dict[str, Path]
) -> None:
    rows = np.random.default_rng(3).normal(size=(2, 9, 24)).astype(np.float32)
    for name in ("jump", "half"):
        own = read(files[name], tiny_gpt2_bundle)
        features = own.features(rows)
        assert feature_error(own, rows, features) < 1e-6
        kept = np.argwhere(features > 0)[5]
        without = features.copy()
        without[tuple(kept)] = 0
        assert feature_error(own, rows, without) > 1e-3
        assert feature_error(own, rows, np.full_like(features, np.nan)) == np.inf
    more = features + (features == 0)
    assert feature_error(own, rows, more) == np.inf
    # The threshold of each feature is exactly its value at this row.
    jump = read(files["jump"], tiny_gpt2_bundle)
    sums = np.abs(rows[0, 0] @ jump.wide("encoder_weight") + jump.wide("encoder_bias"))
    at = replace(jump, arrays={**jump.arrays, "threshold": sums})
    for value in (np.zeros_like(sums), at.features(rows[0, 0] * np.float32(1 + 1e-6))):
        assert feature_error(at, rows[0, 0], value) < 1e-5


def test_a_manifest_of_another_models_dictionary_is_refused(small: Path) -> None:
    file = small / "manifest.json"
    data = json.loads(file.read_text("utf-8"))
    data["dictionaries"][0]["description"]["weights"] = f"sha256:{'0' * 64}"
    file.write_text(json.dumps(data), "utf-8")
    with pytest.raises(ContractError, match="dictionary jump belongs to another model"):
        Bundle(small)


def test_a_manifest_that_says_otherwise_than_the_file_is_refused(small: Path) -> None:
    file = small / "manifest.json"
    data = json.loads(file.read_text("utf-8"))
    data["dictionaries"][0]["description"]["source"] = "another library"
    file.write_text(json.dumps(data), "utf-8")
    with Bundle(small) as opened, pytest.raises(BundleError, match="another description in the f"):
        opened.dictionary("jump")


def test_a_notebooks_display_of_such_a_bundle_is_the_same_page(small: Path) -> None:
    """The page's record of an analysis has no dictionaries: their views need the bundle."""
    with Bundle(small) as opened:
        asked = Asked((5, 17, 3), 3, "", ("layer_0_attn_probs",), "logit", ())
        record = analysis_record(opened, asked, "", None)
    assert "dictionaries" not in json.dumps(record)


def test_two_dictionaries_of_one_name_are_refused(small: Path, files: dict[str, Path]) -> None:
    add_dictionary(small, read(files["relu"], small), "relu")
    file = small / "manifest.json"
    data = json.loads(file.read_text("utf-8"))
    for record in data["dictionaries"]:
        record["name"] = "jump"
    file.write_text(json.dumps(data), "utf-8")
    with pytest.raises(ContractError, match=r"two dictionaries of .* are called jump"):
        Bundle(small)
