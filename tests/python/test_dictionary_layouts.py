"""Tests dictionaries of other libraries: each layout computes what its library computes, and what
can't be converted exactly, doesn't fit or is damaged is refused in one line and changes nothing."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import foreign_dictionaries as foreign
import numpy as np
import onnx
import pytest
import random_dictionaries
import torch
from checkpoint_files import checked_line
from safetensors.torch import save_file

from oriel import Bundle
from oriel.cli import main
from oriel.contract.activation_names import contract_table
from oriel.contract.manifest import read_manifest
from oriel.dictionaries.dictionary_file import Dictionary, parse_dictionary, token_rows
from oriel.dictionary_layouts import find_layout
from oriel.dictionary_layouts.add_layout import norms_center
from oriel.dictionary_layouts.hook_names import activation_of_hook, dictionary_kinds
from oriel.dictionary_layouts.layout import Request
from oriel.errors import OrielError

IDS = [[5, 17, 3, 80, 41, 2, 9, 33], [1, 60, 60, 7, 12, 88, 0, 4]]
Settings = dict[str, Any]


@pytest.fixture
def own(tiny_gpt2_bundle: Path, tmp_path: Path) -> Path:
    """Return a copy of the bundle to modify."""
    return Path(shutil.copytree(tiny_gpt2_bundle, tmp_path / "own"))


def converted(path: Path, bundle: Path, **said: Any) -> Dictionary:
    """Convert a dictionary for a bundle's model."""
    manifest = read_manifest(bundle)
    weights = manifest.data["model"]["weights_digest"]
    request = Request(path, manifest.shape, weights, **said)
    data = find_layout(path).file_bytes(request)
    return parse_dictionary(data, path, manifest.shape, weights)


def refusal(path: Path, bundle: Path, **said: Any) -> str:
    with pytest.raises(OrielError) as caught:
        converted(path, bundle, **said)
    return checked_line(str(caught.value))


def rows(count: int = 400) -> foreign.Numbers:
    """Return rows of an activation whose mean is not 0."""
    return np.random.default_rng(5).normal(0.3, 1, (count, foreign.HIDDEN))


def check_equal(found: Dictionary, right: tuple[foreign.Numbers, foreign.Numbers]) -> None:
    """Check a dictionary's features of `rows` and what they rebuild."""
    features, rebuilt = right
    ours = found.features(rows().astype(np.float32))
    assert 0.02 < (features > 0).mean() < 0.9
    np.testing.assert_array_equal(ours > 0, features > 0)
    np.testing.assert_allclose(ours, features, rtol=0, atol=2e-6 * np.abs(features).max())
    bound = 2e-6 * np.abs(rebuilt).max()
    np.testing.assert_allclose(found.rebuild(ours), rebuilt, rtol=0, atol=bound)


@pytest.mark.parametrize("name", foreign.CASES)
def test_sae_lens_is_converted_exactly(tiny_gpt2_bundle: Path, tmp_path: Path, name: str) -> None:
    """By hand in float64; benchmarks/peer/sae_lens_features.py compares with SAELens itself."""
    case = foreign.CASES[name]
    found = converted(foreign.write_case(name, tmp_path / "sae"), tiny_gpt2_bundle)
    check_equal(found, foreign.computed(name, rows()))
    said = found.description
    assert (said["reads"]["kind"], said["reads"]["layer"]) == case.reads
    assert (said["writes"]["kind"], said["writes"]["layer"]) == (case.writes or case.reads)
    assert said["kind"] == ("sae" if case.writes is None else "transcoder")
    assert said.get("k") == (foreign.K if "topk" in name else None)
    assert said["source"].startswith("SAELens") and "tiny" in said["source"]


def test_either_file_of_the_folder_names_it(tiny_gpt2_bundle: Path, tmp_path: Path) -> None:
    folder = foreign.write_case("standard", tmp_path / "sae")
    data = converted(folder, tiny_gpt2_bundle).data
    for name in ("cfg.json", "sae_weights.safetensors"):
        assert converted(folder / name, tiny_gpt2_bundle).data == data


@pytest.mark.parametrize("name", ["jumprelu", "heads", "jumprelu_coder"])
def test_a_bundle_computes_the_features(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    kind, layer = foreign.CASES[name].reads
    folder = foreign.write_case(name, tmp_path / "sae")
    assert main(["add-dictionary", str(own), str(folder), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["dictionary"] == f"{kind}_{layer}"
    with Bundle(own) as opened:
        assert opened.dictionaries == (said["dictionary"],)
        assert opened.dictionary(said["dictionary"]).description == said["description"]
        run = opened.run(IDS, [f"features_{kind}_{layer}", f"layer_{layer}_{kind}"])
    read = token_rows(run.of(kind, layer)).astype(np.float64)
    features, _ = foreign.computed(name, read.reshape(-1, foreign.HIDDEN))
    found = run[f"features_{kind}_{layer}"].reshape(-1, foreign.FEATURES)
    np.testing.assert_allclose(found, features, rtol=0, atol=1e-5 * np.abs(features).max())


def test_a_mean_that_was_taken_away_makes_no_difference(
    tiny_gpt2_bundle: Path, tmp_path: Path
) -> None:
    """The flag says what the settings of gpt2-small-res-jb leave out."""
    settings = foreign.today("standard")
    folder = foreign.write(tmp_path / "sae", settings, foreign.tensors("centered"))
    found = converted(folder, tiny_gpt2_bundle, centered=True)
    check_equal(found, foreign.computed("centered", rows()))
    moved = (rows() + 7).astype(np.float32)
    np.testing.assert_allclose(
        found.features(moved), found.features(rows().astype(np.float32)), rtol=0, atol=1e-4
    )
    assert "without its mean" in found.description["source"]


def test_only_a_stream_of_layer_norm_has_a_mean_to_lose(
    tiny_gpt2_bundle: Path, tmp_path: Path
) -> None:
    heads = foreign.write_case("heads", tmp_path / "heads")
    assert "--centered can't be true" in refusal(heads, tiny_gpt2_bundle, centered=True)
    stream = foreign.write_case("centered", tmp_path / "stream")
    line = refusal(stream, tiny_gpt2_bundle, centered=True, norms_center=False)
    assert "a model whose norms leave the mean" in line
    # TransformerLens ignores the setting in such a model.
    kept = converted(stream, tiny_gpt2_bundle, norms_center=False)
    folder = foreign.write(
        tmp_path / "plain", foreign.today("standard"), foreign.tensors("centered")
    )
    plain = converted(folder, tiny_gpt2_bundle)
    np.testing.assert_array_equal(kept.arrays["encoder_weight"], plain.arrays["encoder_weight"])


def test_norms_of_a_bundle_are_told_apart(own: Path) -> None:
    manifest = read_manifest(own)
    assert norms_center(manifest, own)
    for variant in manifest.variants:
        graph = onnx.load(own / variant["open"]["path"], load_external_data=False)
        for node in graph.graph.node:
            # A root mean square, as Llama has it.
            if node.op_type == "LayerNormalization":
                node.op_type = "RMSNormalization"
        onnx.save(graph, own / variant["open"]["path"])
    assert not norms_center(manifest, own)


def test_a_graph_that_cannot_be_read_is_refused(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (graph,) = {variant["open"]["path"] for variant in read_manifest(own).variants}
    folder = foreign.write_case("standard", tmp_path / "sae")
    for damage in (lambda file: file.write_bytes(b"\xff" * 99), Path.unlink):
        damage(own / graph)
        assert main(["add-dictionary", str(own), str(folder)]) == 2
        line = checked_line(capsys.readouterr().err.strip())
        assert f"the graph {graph} can't be read" in line and "Export the model again" in line


today, once = foreign.today, foreign.once
REFUSED: dict[str, tuple[Settings, str]] = {
    "skip": (today("skip_transcoder", **foreign.CODER), "adds its input to the output"),
    "batchtopk": (today("batchtopk", k=5), "saves the finished one as jumprelu"),
    "unknown": (today("spectral"), "architecture 'spectral'"),
    "tanh": (once("standard", activation_fn_str="tanh-relu"), "activation function 'tanh-relu'"),
    "topk_of_jumprelu": (
        once("jumprelu", activation_fn_str="topk", activation_fn_kwargs={"k": 3}),
        "jumprelu is known with relu",
    ),
    "no_k": (
        once("standard", activation_fn_str="topk"),
        "k: nothing; expected 1 to 37, of its features",
    ),
    "too_large_k": (today("topk", k=38), "got k: 38; expected 1 to 37"),
    "own_length": (
        today("standard", normalize_activations="constant_norm_rescale"),
        "by its own length",
    ),
    "layer_norm": (today("standard", normalize_activations="layer_norm"), "by itself"),
    "odd_norm": (today("standard", normalize_activations="z"), "normalize_activations 'z'"),
    "no_factor": (
        today("standard", normalize_activations="expected_average_only_in"),
        "no activation_scaler.json",
    ),
    "one_head": (once("standard", hook_head_index=2), "it reads one head alone"),
    "normalized": (
        today("transcoder", "blocks.1.ln2.hook_normalized", **foreign.CODER),
        "got 'blocks.1.ln2.hook_normalized'; expected a hook of a block: hook_resid_pre",
    ),
    "no_block": (today("standard", "hook_embed"), "got 'hook_embed'"),
    "no_hook_out": (today("transcoder", d_out=24), "an activation that the contract doesn't have"),
    "values_folded": (
        today(
            "standard",
            "blocks.3.attn.hook_z",
            model_from_pretrained_kwargs={"fold_value_biases": True},
        ),
        "fold_value_biases",
    ),
    "layer": (
        today("standard", "blocks.4.hook_resid_pre"),
        "got resid_pre of layer 4 (tiny, blocks.4.hook_resid_pre); expected layers 0 to 3",
    ),
    "width": (today("standard", d_in=768), "got rows of 768 numbers (tiny"),
    "other_width": (today("standard", "blocks.1.mlp.hook_post"), "expected 52, the width of this"),
    "width_out": (today("transcoder", **foreign.CODER | {"d_out": 23}), "rows of 23 numbers"),
    "features": (today("standard", d_sae=1 << 21), "got 2097152 features; expected 1 to 1048576"),
    "no_features": (today("standard", d_sae=None), "d_sae: nothing; expected a number of 1 or"),
    "text_for_a_size": (today("standard", d_in="24"), "d_in: '24'"),
    "text_for_a_flag": (today("standard", apply_b_dec_to_input="no"), "apply_b_dec_to_input: 'no'"),
    "no_factors": (
        today("standard", finetuning_scaling_factor=True),
        "got no finetuning_scaling_factor; expected the tensor that its settings name",
    ),
    "rebuilds_another": (
        today("standard", hook_name_out="blocks.1.hook_mlp_out"),
        "got hook_name_out: 'blocks.1.hook_mlp_out', and standard rebuilds what it reads",
    ),
    "no_object": ([], "got something other than an object"),  # type: ignore[dict-item]
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_exact_or_does_not_fit_is_refused(
    tiny_gpt2_bundle: Path, tmp_path: Path, name: str
) -> None:
    settings, said = REFUSED[name]
    folder = foreign.write(tmp_path / "sae", settings, foreign.tensors("standard"))
    assert said in refusal(folder, tiny_gpt2_bundle)


def test_every_hook_of_the_table_is_an_activation() -> None:
    peers = {
        row["kind"]: row["peers"]["transformer_lens_3"] for row in contract_table()["activations"]
    }
    for kind in dictionary_kinds():
        peer = peers[kind]
        assert peer is not None
        found = activation_of_hook(peer["name"].replace("{L}", "11"), "sae")
        assert found == {"kind": kind, "layer": 11}


def test_a_folder_without_a_hook_needs_reads(own: Path, tmp_path: Path) -> None:
    settings = today("standard")
    del settings["metadata"]["hook_name"]
    folder = foreign.write(tmp_path / "sae", settings, foreign.tensors("standard"))
    assert "expected --reads KIND:LAYER" in refusal(folder, own)
    assert main(["add-dictionary", str(own), str(folder), "--reads", "resid_post:2"]) == 0
    named = foreign.write_case("standard", tmp_path / "named")
    other = {"kind": "resid_pre", "layer": 2}
    assert "--reads contradicts" in refusal(named, own, reads=other)
    converted(named, own, reads={"kind": "resid_pre", "layer": 1})


def change_tensors(change: Callable[[dict[str, torch.Tensor]], object]) -> Callable[[Path], None]:
    def apply(folder: Path) -> None:
        held = foreign.tensors("standard")
        change(held)
        save_file(held, folder / "sae_weights.safetensors")

    return apply


def cut(name: str, size: int) -> Callable[[Path], None]:
    return lambda folder: os.truncate(folder / name, size)


DAMAGED: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut_weights": (cut("sae_weights.safetensors", 3000), "expected a whole safetensors file"),
    "empty_weights": (cut("sae_weights.safetensors", 0), "sae_weights.safetensors is empty"),
    "cut_settings": (cut("cfg.json", 40), "cfg.json can't be read"),
    "large_settings": (cut("cfg.json", 1 << 40), f"got {1 << 40} bytes"),
    "missing": (change_tensors(lambda held: held.pop("b_enc")), "got b_enc missing"),
    "left_over": (
        change_tensors(lambda held: held.update(W_skip=torch.ones(24, 24))),
        "got W_skip besides",
    ),
    "turned": (
        change_tensors(lambda held: held.update(W_enc=torch.ones(37, 24))),
        "got W_enc of 37 × 24; expected 24 × 37",
    ),
    "whole": (
        change_tensors(lambda held: held.update(b_enc=torch.ones(37, dtype=torch.int32))),
        "got b_enc of I32; expected floating-point numbers",
    ),
    "nan": (
        change_tensors(lambda held: held["W_dec"][3].fill_(float("nan"))),
        "W_dec with numbers that aren't finite",
    ),
    "too_large": (
        change_tensors(
            lambda held: held.update(b_dec=torch.full((24,), 1e300, dtype=torch.float64))
        ),
        "b_dec with numbers that aren't finite",
    ),
    "factors": (
        change_tensors(lambda held: held.update(scaling_factor=torch.full((37,), 2.0))),
        "scaling_factor, which its settings leave out",
    ),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_folder_is_refused(tiny_gpt2_bundle: Path, tmp_path: Path, name: str) -> None:
    damage, said = DAMAGED[name]
    folder = foreign.write_case("standard", tmp_path / "sae")
    damage(folder)
    assert said in refusal(folder, tiny_gpt2_bundle)


def test_factors_of_one_are_none(tiny_gpt2_bundle: Path, tmp_path: Path) -> None:
    held = foreign.tensors("standard") | {"scaling_factor": torch.ones(foreign.FEATURES)}
    folder = foreign.write(tmp_path / "sae", foreign.CASES["standard"].settings, held)
    check_equal(converted(folder, tiny_gpt2_bundle), foreign.computed("standard", rows()))


def test_a_decoder_row_of_zeros_makes_its_feature_0(tiny_gpt2_bundle: Path, tmp_path: Path) -> None:
    held = foreign.tensors("topk_by_lengths")
    held["W_dec"][4] = 0
    settings = foreign.CASES["topk_by_lengths"].settings
    found = converted(foreign.write(tmp_path / "sae", settings, held), tiny_gpt2_bundle)
    features = found.features(rows().astype(np.float32))
    assert (features[:, 4] == 0).all() and (features > 0).any(axis=1).all()
    assert np.isfinite(found.rebuild(features)).all()


@pytest.mark.filterwarnings("error")
def test_a_number_that_becomes_too_large_is_refused(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = foreign.tensors("gated")
    held["r_mag"][0] = 1e30
    folder = foreign.write(tmp_path / "sae", foreign.CASES["gated"].settings, held)
    assert main(["add-dictionary", str(own), str(folder)]) == 2
    line = checked_line(capsys.readouterr().err.strip())
    assert "with numbers that aren't finite" in line


READS = {"kind": "resid_post", "layer": 2}


def gemma_file(folder: Path, arrays: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "params.npz", **arrays)
    return folder / "params.npz"


@pytest.mark.parametrize("dtype", ["float16", "float32", ">f4", "float64"])
def test_gemma_scope_is_converted_exactly(
    tiny_gpt2_bundle: Path, tmp_path: Path, dtype: str
) -> None:
    arrays = foreign.gemma_arrays(dtype)
    # Columns first, as NumPy stores a transposed matrix.
    arrays["W_enc"] = np.asfortranarray(arrays["W_enc"])
    file = gemma_file(tmp_path / "layer_2" / "width_16k" / "average_l0_71", arrays)
    found = converted(file, tiny_gpt2_bundle, reads=READS)
    held = {name: each.astype(np.float64) for name, each in arrays.items()}
    sums = rows() @ held["W_enc"] + held["b_enc"]
    features = np.where(sums > held["threshold"], sums, 0)
    check_equal(found, (features, features @ held["W_dec"] + held["b_dec"]))
    assert found.description["source"] == ("Gemma Scope, layer_2, width_16k, average_l0_71")
    assert converted(file.parent, tiny_gpt2_bundle, reads=READS).data == found.data


def test_gemma_scope_needs_the_right_reads(tiny_gpt2_bundle: Path, tmp_path: Path) -> None:
    file = gemma_file(tmp_path / "layer_3", foreign.gemma_arrays())
    assert "expected --reads KIND:LAYER" in refusal(file, tiny_gpt2_bundle)
    line = refusal(file, tiny_gpt2_bundle, reads=READS)
    assert "got resid_post:2; expected resid_post:3" in line
    line = refusal(file, tiny_gpt2_bundle, reads={"kind": "mlp_act", "layer": 3})
    assert "got rows of 24 numbers (Gemma Scope, layer_3); expected 52" in line


def gemma_2_folder(folder: Path, settings: Settings) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(settings))
    held = {name.lower(): torch.from_numpy(a) for name, a in foreign.gemma_arrays().items()}
    save_file(held, folder / "params.safetensors")
    return folder


GEMMA_2 = {
    "architecture": "jump_relu",
    "model_name": "google/gemma-3-270m",
    "hf_hook_point_in": "model.layers.2.output",
}


@pytest.mark.parametrize(
    ("hook", "kind"),
    [
        ("model.layers.2.output", "resid_post"),
        ("model.layers.2.self_attn.o_proj.input", "attn_z"),
        ("model.layers.2.post_feedforward_layernorm.output", "mlp_output"),
    ],
)
def test_gemma_scope_2_has_the_arrays_of_the_first(
    tiny_gpt2_bundle: Path, tmp_path: Path, hook: str, kind: str
) -> None:
    folder = gemma_2_folder(tmp_path / "sae", GEMMA_2 | {"hf_hook_point_in": hook})
    found = converted(folder, tiny_gpt2_bundle)
    first = converted(gemma_file(tmp_path, foreign.gemma_arrays()), tiny_gpt2_bundle, reads=READS)
    assert found.description["reads"] == {"kind": kind, "layer": 2}
    assert found.arrays.keys() == first.arrays.keys()
    for name, values in found.arrays.items():
        np.testing.assert_array_equal(values, first.arrays[name])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"hf_hook_point_out": "model.layers.2.mlp.output"}, "got a transcoder"),
        ({"architecture": "topk"}, "the architecture 'topk'"),
        ({"hf_hook_point_in": "model.layers.2.pre_feedforward_layernorm.output"}, "got 'model."),
        ({"hf_hook_point_in": None}, "got 'None'"),
        ({"hf_hook_point_in": "model.layers.9.output"}, "expected layers 0 to 3"),
    ],
)
def test_what_is_no_sae_of_gemma_scope_2_is_refused(
    tiny_gpt2_bundle: Path, tmp_path: Path, settings: Settings, said: str
) -> None:
    folder = gemma_2_folder(tmp_path / "sae", GEMMA_2 | settings)
    assert said in refusal(folder, tiny_gpt2_bundle)


def with_member(name: str, data: bytes) -> Callable[[Path], None]:
    def add(file: Path) -> None:
        with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(name, data)

    return add


def with_arrays(**arrays: Any) -> Callable[[Path], None]:
    return lambda file: np.savez(file, **(foreign.gemma_arrays() | arrays))


def large_header() -> bytes:
    """Return an .npy file that says it has 2^40 numbers."""
    made = io.BytesIO()
    said = {"descr": "<f4", "fortran_order": False, "shape": (1 << 40,)}
    np.lib.format.write_array_header_1_0(made, said)
    return made.getvalue()


def npy(said: str, version: int = 1, length: int | None = None) -> bytes:
    """Return an .npy file of no values with this header. length: the one that it says."""
    length = len(said) if length is None else length
    return (
        b"\x93NUMPY" + bytes([version, 0]) + length.to_bytes(2 * version, "little") + said.encode()
    )


def with_header(said: str) -> Callable[[Path], None]:
    return with_member("more.npy", npy(said))


def with_a_second_bias(file: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        with_member("b_dec.npy", npy("{'descr': '<f4', 'fortran_order': False, 'shape': (0,)}"))(
            file
        )


def with_damaged_lzma(file: Path) -> None:
    with zipfile.ZipFile(file, "a", zipfile.ZIP_LZMA) as archive:
        archive.writestr("more.npy", npy("{" + " " * 2000 + "}"))
        begin = archive.infolist()[-1].header_offset + 30 + len("more.npy")
    data = bytearray(file.read_bytes())
    # Behind four bytes of version and length stand five of settings, and then the stream.
    data[begin + 4 : begin + 14] = b"\xff" * 10
    file.write_bytes(bytes(data))


BROKEN_NPZ: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut": (lambda file: os.truncate(file, 2000), "expected an .npz file"),
    "no_zip": (lambda file: file.write_bytes(b"params" * 90), "expected an .npz file"),
    "objects": (with_arrays(threshold=np.array([{}] * 37, dtype=object)), "threshold of O8"),
    "whole": (with_arrays(threshold=np.ones(37, dtype=np.int64)), "threshold of i8"),
    "large": (with_member("more.npy", large_header()), "more of 128 bytes"),
    "many": (with_arrays(**{f"a{n}": np.ones(1) for n in range(70)}), "got 75 files in it"),
    "no_npy": (with_member("more.npy", b"text"), "expected an .npz file"),
    "deep": (
        with_member("more.npy", b"\x93NUMPY\x01\x00\x00\x0f" + b"(" * 3840),
        "expected an .npz file",
    ),
    "no_suffix": (with_member("more", b"text"), "got more, which is no array or is there twice"),
    "twice": (with_a_second_bias, "got b_dec, which is no array or is there twice"),
    "odd_key": (with_header("{[]: 1}"), "expected an .npz file"),
    "mixed_keys": (with_header("{1: 2, 'a': 3}"), "expected an .npz file"),
    "shape_of_truth": (
        with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (True,)}"),
        "got more of (True,)",
    ),
    "empty_descr": (
        with_header("{'descr': (), 'fortran_order': False, 'shape': (1,)}"),
        "expected an .npz file",
    ),
    "indented": (with_header("  1\n 2\n"), "expected an .npz file"),
    "lzma": (with_damaged_lzma, "expected an .npz file"),
    "long_header": (
        with_member("more.npy", npy("", 2, (1 << 32) - 1)),
        "got more with a header of 4294967295 bytes",
    ),
    "left_over": (with_arrays(W_skip=np.ones((24, 24), np.float32)), "got W_skip besides"),
    "nan": (with_arrays(b_dec=np.full(24, np.nan, np.float32)), "b_dec with numbers that aren't"),
    "flat": (with_arrays(W_enc=np.ones(24, np.float32)), "got W_enc of 24; expected a matrix"),
}


@pytest.mark.parametrize("name", BROKEN_NPZ)
def test_a_damaged_npz_is_refused(tiny_gpt2_bundle: Path, tmp_path: Path, name: str) -> None:
    damage, said = BROKEN_NPZ[name]
    file = gemma_file(tmp_path, foreign.gemma_arrays())
    damage(file)
    assert said in refusal(file, tiny_gpt2_bundle, reads=READS)


def test_nothing_is_unpickled(tiny_gpt2_bundle: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "sprung"),)

    file = gemma_file(tmp_path, foreign.gemma_arrays() | {"b_dec": np.array([Trap()] * 24)})
    assert "not floating-point numbers" in refusal(file, tiny_gpt2_bundle, reads=READS)
    assert not (tmp_path / "sprung").exists()


def test_an_own_file_is_added(own: Path, tmp_path: Path) -> None:
    file = random_dictionaries.write_all(own, tmp_path)["jump"]
    assert main(["add-dictionary", str(own), str(file), "--name", "ours"]) == 0
    with Bundle(own) as opened:
        assert opened.dictionary("ours").data == file.read_bytes()
    assert "--reads contradicts" in refusal(file, own, reads=READS)
    assert "Leave it out" in refusal(file, own, centered=True)


def test_a_path_of_no_layout_names_those_there_are(own: Path, tmp_path: Path) -> None:
    for path, got in ((tmp_path, "a folder without these files"), (tmp_path / "no", "no such")):
        line = refusal(path, own)
        assert f"got {got}" in line and "a folder of SAELens with cfg.json" in line
    os.mkfifo(tmp_path / "pipe.safetensors")
    assert "neither a file nor a folder" in refusal(tmp_path / "pipe.safetensors", own)


def test_a_path_that_the_system_refuses_is_refused_in_a_line(own: Path, tmp_path: Path) -> None:
    line = refusal(tmp_path / ("a" * 300), own)
    assert "can't be read; got File name too long" in line and "Check the path." in line


def test_a_name_is_checked_before_anything_is_read(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["add-dictionary", str(own), str(tmp_path / "nothing"), "--name", "Jump"]) == 2
    assert "--name can't be a dictionary's" in checked_line(capsys.readouterr().err.strip())


def test_a_release_names_its_dictionaries(own: Path, tmp_path: Path) -> None:
    for name in ("blocks.0.hook_resid_pre", "blocks.1.hook_resid_pre"):
        foreign.write_case("standard", tmp_path / "release" / name)
    line = refusal(tmp_path / "release", own)
    assert "Give one of its folders: blocks.0.hook_resid_pre, blocks.1.hook_resid_pre." in line


@pytest.mark.parametrize("text", ["resid_post", "resid_post:-1", "logits:0", "resid_post:01", ""])
def test_reads_is_a_kind_and_a_layer(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    folder = foreign.write_case("standard", tmp_path / "sae")
    assert main(["add-dictionary", str(own), str(folder), f"--reads={text}"]) == 2
    line = capsys.readouterr().err
    assert "--reads names no activation" in line and "such as resid_post:3" in line


def test_a_full_disk_changes_nothing(
    own: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {file.name: file.read_bytes() for file in own.iterdir() if file.is_file()}
    folder = foreign.write_case("standard", tmp_path / "sae")
    write = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if path.name.startswith("dictionary_"):
            write(path, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    assert main(["add-dictionary", str(own), str(folder)]) == 2
    assert "no space left" in checked_line(capsys.readouterr().err.strip())
    assert {file.name: file.read_bytes() for file in own.iterdir() if file.is_file()} == before
    assert not [each for each in own.parent.iterdir() if ".oriel-" in each.name]
