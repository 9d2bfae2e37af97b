"""oriel quantize, and --precision of the exporter: what is written, what stays, and a line for each
mistake, which leaves every file as it was."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from checkpoint_files import checked_line
from command_lines import export_main
from onnx import TensorProto, helper

import oriel
from oriel import quantize_bundle
from oriel.cli import main
from oriel.contract.documents import Variant
from oriel.contract.manifest import read_manifest
from oriel.precision.recipes.recipe import bundled_recipe

ROUNDED = {"match": "*", "treat": "channels", "bits": 8, "rounding": "nearest"}


@pytest.fixture
def bundle(tiny_gpt2_bundle: Path, tmp_path: Path) -> Path:
    """GPT-2 without a tokenizer, in fp32 alone."""
    return Path(shutil.copytree(tiny_gpt2_bundle, tmp_path / "bundle"))


@pytest.fixture
def full(quantized_gpt2_bundle: Path, tmp_path: Path) -> Path:
    """The same in all precisions."""
    return Path(shutil.copytree(quantized_gpt2_bundle, tmp_path / "full"))


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[..., Path]:
    """Write a recipe of some rules."""

    def write(*rules: dict[str, Any], name: str = "own") -> Path:
        file = tmp_path / f"{name}.json"
        file.write_text(json.dumps({"name": name, "rules": list(rules)}))
        return file

    return write


@pytest.fixture
def speaking(bundle: Path) -> Path:
    """The bundle with a tokenizer: a word for each id."""
    return with_tokenizer(bundle, [f"w{i}" for i in range(101)], {"type": "WhitespaceSplit"})


def with_tokenizer(bundle: Path, words: Sequence[str], split: dict[str, Any]) -> Path:
    """The bundle, with a tokenizer of whole words whose first stands for all others."""
    tokenizer = {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": split,
        "model": {
            "type": "WordLevel",
            "vocab": {word: number for number, word in enumerate(words)},
            "unk_token": words[0],
        },
    }
    (bundle / "tokenizer.json").write_text(json.dumps(tokenizer))
    (bundle / "tokenizer_config.json").write_text("{}")
    data = json.loads((bundle / "manifest.json").read_text())
    data["tokenizer"] = {"tokenizer": "tokenizer.json", "config": "tokenizer_config.json"}
    data["files"] += [described(bundle / name) for name in data["tokenizer"].values()]
    (bundle / "manifest.json").write_text(json.dumps(data))
    return bundle


def described(file: Path) -> dict[str, Any]:
    content = file.read_bytes()
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    kind = "application/json" if file.suffix == ".json" else "application/octet-stream"
    return {"path": file.name, "media_type": kind, "bytes": len(content), "digest": digest}


def contents(folder: Path) -> dict[str, bytes]:
    return {f.name: f.read_bytes() for f in folder.iterdir()}


def quantize(graph: Path, precision: str, *flags: str) -> None:
    """The command, which must succeed. Random weights are far from themselves in few bits."""
    command = ["quantize", str(graph), "--precision", precision, "--allow-lossy", *flags]
    assert main(command) == 0


def error_line(capsys: pytest.CaptureFixture[str], folder: Path, *argv: str) -> str:
    """The one line that the command ends in; what stands in the folder is as it was."""
    before = contents(folder)
    capsys.readouterr()
    assert main(["quantize", *argv]) == 2
    out, err = capsys.readouterr()
    lines = [line for line in err.splitlines() if not line.startswith("[")]
    assert out == "" and len(lines) == 1, err
    assert lines[0].startswith("error: ")
    assert contents(folder) == before
    assert [f.name for f in folder.parent.iterdir() if ".oriel-" in f.name] == []
    return checked_line(lines[0])


# What is written.


def test_new_variants_stand_beside_the_old(bundle: Path) -> None:
    before = contents(bundle)
    written = (bundle / "model.onnx.data").stat().st_ino
    quantize(bundle / "model.onnx", "q8,int8")
    after = contents(bundle)
    new = set(after) - set(before)
    assert new == {
        "model_q8.onnx.data",
        "model_int8.onnx",
        "model_int8.open.onnx",
        "model_int8.plain.onnx",
        "model_q8.run.safetensors",
        "model_int8.run.safetensors",
    }
    unchanged = set(before) - {"manifest.json", "verification.json"}
    assert all(after[name] == before[name] for name in unchanged)
    # Not even written again.
    assert (bundle / "model.onnx.data").stat().st_ino == written
    manifest = read_manifest(bundle)
    assert [v["name"] for v in manifest.variants] == ["fp32", "q8", "int8"]
    assert {f["path"] for f in manifest.data["files"]} == set(after) - {"manifest.json"}
    for file in manifest.data["files"]:
        assert file == described(bundle / file["path"]) | {"media_type": file["media_type"]}
    q8, int8 = manifest.variant("q8"), manifest.variant("int8")
    assert q8["weights"] == int8["weights"] == ["model_q8.onnx.data"]
    assert (q8["kernels"], q8["encoding"]) == ("fp32", "q8")
    assert (int8["kernels"], int8["encoding"]) == ("int8", "q8")
    assert q8["plain"] == manifest.variant("fp32")["plain"]
    assert q8["taps"] == manifest.variant("fp32")["taps"] != int8["taps"]
    assert q8["recipe"] == int8["recipe"] == bundled_recipe("q8").data
    assert all("fidelity" in variant for variant in (q8, int8))


def test_a_second_run_keeps_what_it_was_not_asked_for(bundle: Path) -> None:
    quantize(bundle, "f16,q8")
    first = contents(bundle)
    quantize(bundle, "int4")
    second = contents(bundle)
    assert [v["name"] for v in read_manifest(bundle).variants] == ["fp32", "f16", "q8", "int4"]
    assert all(second[name] == first[name] for name in first if name.endswith(".data"))
    fidelity = json.loads(first["manifest.json"])["variants"][1]["fidelity"]
    assert read_manifest(bundle).variant("f16")["fidelity"] == fidelity


def test_what_reads_a_file_that_changes_is_made_anew(
    bundle: Path, recipe: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    quantize(bundle, "int8,int4")
    first = contents(bundle)
    capsys.readouterr()
    own = recipe({"match": "*.wte.weight", "treat": "float16"}, ROUNDED)
    quantize(bundle, "q8", "--recipe", str(own), "--json")
    told = json.loads(capsys.readouterr().out)
    assert told["made"] == ["q8", "int8"]
    second = contents(bundle)
    assert second["model_q8.onnx.data"] != first["model_q8.onnx.data"]
    assert second["model_int8.onnx"] != first["model_int8.onnx"]
    assert second["model_int4.onnx"] == first["model_int4.onnx"]
    assert second["model_q4.onnx.data"] == first["model_q4.onnx.data"]
    manifest = read_manifest(bundle)
    assert told["manifest"] == manifest.data
    assert manifest.variant("int8")["recipe"]["name"] == "own"
    assert manifest.variant("int4")["recipe"] == bundled_recipe("q4").data
    # The table is in float16 now, and multiplied with as it is.
    assert manifest.variant("int8")["nodes"] == {"Gather": 2, "MatMul": 1, "MatMulInteger": 16}


def test_the_proof_of_the_old_variants_goes(bundle: Path) -> None:
    (bundle / "verification.json").write_text("{}")
    quantize(bundle, "f16")
    assert not (bundle / "verification.json").exists()


def test_a_recipe_of_ones_own_is_for_what_quantizes(
    bundle: Path, recipe: Callable[..., Path]
) -> None:
    own = recipe({"match": "*.mlp.*", "treat": "blocks", "bits": 4, "block": 16})
    quantize(bundle, "f16,q4,int4", "--recipe", str(own))
    manifest = read_manifest(bundle)
    assert manifest.variant("f16")["recipe"]["name"] == "f16"
    assert manifest.variant("q4")["recipe"]["name"] == "own"
    # Two matrices in each of four layers; the others are float32 still.
    assert manifest.variant("int4")["nodes"] == {"MatMulNBits": 8}


def test_facts_that_a_manifest_lacks_are_added(bundle: Path) -> None:
    data = json.loads((bundle / "manifest.json").read_text())
    for key in ("kernels", "encoding", "largest_weight"):
        del data["variants"][0][key]
    (bundle / "manifest.json").write_text(json.dumps(data))
    quantize(bundle, "f16")
    manifest = read_manifest(bundle)
    assert manifest.variant("fp32")["kernels"] == "fp32"
    assert manifest.variant("fp32")["largest_weight"] == 101 * 24 * 4


def test_outputs_that_were_chosen_are_given_by_new_variants(bundle: Path) -> None:
    chosen = ["--layers", "1", "--activations", "mlp_act,lens_ids"]
    assert main(["select", str(bundle / "model.onnx"), *chosen]) == 0
    quantize(bundle, "q8,fp16,int8,int4")
    manifest = read_manifest(bundle)
    names = ["logits", "layer_1_attn_probs", "layer_1_mlp_act", "layer_1_lens_ids"]
    for variant in manifest.variants:
        outputs = variant["plain"]["activations"]["outputs"]
        assert [spec["name"] for spec in outputs] == names
        model = onnx.load(bundle / variant["plain"]["path"], load_external_data=False)
        assert [value.name for value in model.graph.output] == names
    # And those can be chosen anew, in every variant that shares the graph.
    assert main(["select", str(bundle / "model.onnx"), "--layers", "0"]) == 0
    assert main(["select", str(bundle / "model_int8.onnx"), "--layers", "0"]) == 0
    manifest = read_manifest(bundle)
    assert manifest.variant("q8")["plain"] == manifest.variant("fp32")["plain"]
    outputs = manifest.variant("int8")["plain"]["activations"]["outputs"]
    assert [spec["name"] for spec in outputs][1:3] == ["embedding_sum", "layer_0_attn_probs"]


def test_calibration_is_recorded(speaking: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    rng = np.random.default_rng(0)
    lines = [" ".join(f"w{i}" for i in rng.integers(0, 101, 30)) for _ in range(8)]
    text.write_text("\n".join(lines) + "\n", encoding="utf-8")
    flags = ["--calibration", str(text), "--calibration-method", "percentile"]
    quantize(speaking, "int8_static,q8", *flags)
    manifest = read_manifest(speaking)
    said = manifest.variant("int8_static")["calibration"]
    assert said["method"] == "percentile"
    # 30 words and the token that each passage begins with, in one of 32 at most.
    assert said["text"]["passages"] == 8 and said["text"]["tokens"] == 8 * 31
    ids = [[0, *(int(word[1:]) for word in line.split())] for line in lines]
    digest = hashlib.sha256(np.array(ids, "<i8").tobytes()).hexdigest()
    assert said["text"]["digest"] == f"sha256:{digest}"
    assert manifest.variant("q8")["calibration"] == {"text": said["text"]}


LETTERS = [chr(code) for code in range(32, 127)]
CHARACTERS = {"type": "Split", "pattern": {"Regex": "."}, "behavior": "Isolated", "invert": False}


@pytest.mark.parametrize(
    ("known", "name"),
    [
        (LETTERS, "bundled corpus, training passages"),
        # Without capitals and commas most of it is known still.
        ([c for c in LETTERS if not c.isupper() and c != ","], "bundled corpus, training"),
        # Without vowels it isn't.
        ([c for c in LETTERS if c not in "aeiou"], "random ids, as its tokenizer doesn't know 3"),
    ],
    ids=["all", "no capitals", "no vowels"],
)
def test_the_bundled_corpus_is_the_default_where_its_letters_are_known(
    bundle: Path, known: list[str], name: str
) -> None:
    with_tokenizer(bundle, known, CHARACTERS)
    quantize(bundle, "int8_static")
    said = read_manifest(bundle).variant("int8_static")["calibration"]
    assert said["text"]["name"].startswith(name) and said["method"] == "minmax"


def test_tokens_that_the_model_lacks_are_told_by_name(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_tokenizer(bundle, [f"w{i}" for i in range(110)], {"type": "WhitespaceSplit"})
    text = tmp_path / "text.txt"
    text.write_text("w1 w2 w3 w105\n" * 40)
    flags = ["--precision", "int8_static", "--calibration", str(text)]
    line = error_line(capsys, bundle, str(bundle), *flags)
    assert "no row for; got 'w105', id 105" in line and "Take it out of the text" in line


def test_text_that_the_tokenizer_does_not_know_is_refused(
    speaking: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "text.txt"
    text.write_text("w1 bishop w2 knight\n" * 40)
    flags = ["--precision", "int8_static", "--calibration", str(text)]
    line = error_line(capsys, speaking, str(speaking), *flags)
    # Twelve letters of sixteen.
    assert "75% unknown characters" in line and "at most 20%" in line


def test_random_ids_where_there_is_no_tokenizer(bundle: Path) -> None:
    quantize(bundle, "int8_static")
    said = read_manifest(bundle).variant("int8_static")["calibration"]["text"]
    assert said["name"] == "random ids" and said["tokens"] == 16 * 32


def test_it_needs_no_torch(bundle: Path) -> None:
    program = """
import sys
from oriel.cli import main
code = main(sys.argv[1:])
wrong = {"torch", "transformers"} & set(sys.modules)
assert not wrong, wrong
sys.exit(code)
"""
    words = ["quantize", str(bundle), "--precision", "f16,q8,q4,fp16,int8,int8_static,int4"]
    result = subprocess.run(
        [sys.executable, "-c", program, *words, "--allow-lossy"],
        env={**os.environ, "PYTHONPATH": str(Path(oriel.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert len(read_manifest(bundle).variants) == 8
    assert "int4: 0.0 MB of weights, mean KL" in result.stdout


# Mistakes.


@pytest.mark.parametrize(
    ("precision", "said"),
    [
        ("int3", "--precision names what doesn't exist; got 'int3'; expected some of fp32, f16"),
        ("", "--precision names nothing"),
        ("fp32", "--precision names nothing to make; got fp32"),
    ],
)
def test_precisions_that_cannot_be(
    bundle: Path, capsys: pytest.CaptureFixture[str], precision: str, said: str
) -> None:
    assert said in error_line(capsys, bundle, str(bundle), "--precision", precision)


def test_flags_that_have_nothing_to_act_on(
    bundle: Path, recipe: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = str(recipe(ROUNDED))
    line = error_line(capsys, bundle, str(bundle), "--precision", "f16,fp16", "--recipe", own)
    assert "--recipe has nothing to act on; got --precision f16,fp16" in line
    text = tmp_path / "text.txt"
    text.write_text("a\n" * 200)
    flags = ["--precision", "q8", "--recipe", own, "--calibration", str(text)]
    assert "--calibration has nothing to act on" in error_line(capsys, bundle, str(bundle), *flags)
    for flag in ("--recipe", "--calibration"):
        line = error_line(capsys, bundle, str(bundle), "--precision", "int8_static", flag, "")
        assert f"{flag} is empty" in line


def broken_recipe(kind: str) -> str | None:
    good = {"name": "own", "rules": [ROUNDED]}
    return {
        "missing": None,
        "not JSON": "{",
        "unknown key": json.dumps({**good, "color": "red"}),
        "unknown key of a rule": json.dumps({**good, "rules": [{**ROUNDED, "group": 32}]}),
        "no rules": json.dumps({**good, "rules": []}),
        "matches nothing": json.dumps({**good, "rules": [{**ROUNDED, "match": "*.nowhere"}]}),
    }[kind]


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("missing", "can't be read; got No such file"),
        ("not JSON", "is not JSON"),
        ("unknown key", "'color'"),
        ("unknown key of a rule", "rules/0"),
        ("no rules", "rules"),
        ("matches nothing", "matches nothing of this model; got '*.nowhere'"),
    ],
)
def test_recipes_that_will_not_do(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, said: str
) -> None:
    file = tmp_path / "own.json"
    text = broken_recipe(kind)
    if text is not None:
        file.write_text(text)
    flags = ["--precision", "q4", "--recipe", str(file)]
    assert said in error_line(capsys, bundle, str(bundle), *flags)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "--calibration can't be read"),
        (b"", "--calibration is empty"),
        (b" \n\n", "--calibration is empty"),
        (b"w1 w2 w3\n", "--calibration is too short"),
        (b"w1 w2 \xff\n", "--calibration is not UTF-8"),
    ],
)
def test_texts_that_will_not_do(
    speaking: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: bytes | None,
    said: str,
) -> None:
    text = tmp_path / "text.txt"
    if content is not None:
        text.write_bytes(content)
    flags = ["--precision", "int8_static", "--calibration", str(text)]
    assert said in error_line(capsys, speaking, str(speaking), *flags)


def test_a_text_without_a_tokenizer(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = tmp_path / "text.txt"
    text.write_text("a b c\n" * 200)
    flags = ["--precision", "int8_static", "--calibration", str(text)]
    line = error_line(capsys, bundle, str(bundle), *flags)
    assert "can't be read by a model without a tokenizer" in line


@pytest.mark.parametrize("name", ["model_int4.onnx", "model_int8.open.onnx"])
def test_a_graph_that_is_quantized_already(
    full: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    line = error_line(capsys, full, str(full / name), "--precision", "q8")
    assert f"{name} is quantized already" in line and "name the model.onnx" in line.lower()


def test_a_graph_of_another_variant(full: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = error_line(capsys, full, str(full / "model_fp16.onnx"), "--precision", "q8")
    assert (
        "model_fp16.onnx is of the variant fp16; expected a float32 graph, such as model.open.onnx"
        in line
    )


def foreign(operator: str, domain: str = "") -> bytes:
    """A model that somebody else made."""
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    node = helper.make_node(operator, ["x"], ["y"], domain=domain)
    graph = helper.make_graph([node], "foreign", [value], [result])
    return bytes(helper.make_model(graph).SerializeToString())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (foreign("DynamicQuantizeLinear"), "is quantized already; got DynamicQuantizeLinear"),
        (foreign("QLinearMatMul"), "is quantized already; got QLinearMatMul"),
        (foreign("MatMulNBits", "com.microsoft"), "is quantized already; got MatMulNBits"),
        (foreign("Relu"), "carries no contract document"),
        (b"not a model", "is not an ONNX file"),
    ],
)
def test_files_of_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, said: str
) -> None:
    folder = tmp_path / "foreign"
    folder.mkdir()
    (folder / "other.onnx").write_bytes(content)
    line = error_line(capsys, folder, str(folder / "other.onnx"), "--precision", "int8")
    assert said in line


def test_files_that_are_not_there(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = error_line(capsys, bundle, str(bundle / "nowhere.onnx"), "--precision", "q8")
    assert "no file" in line
    (tmp_path / "empty").mkdir()
    line = error_line(capsys, tmp_path / "empty", str(tmp_path / "empty"), "--precision", "q8")
    assert "no bundle in" in line
    shutil.copy(bundle / "model.onnx", bundle / "stray.onnx")
    line = error_line(capsys, bundle, str(bundle / "stray.onnx"), "--precision", "q8")
    assert "stray.onnx is not in the manifest beside it" in line


def test_a_damaged_bundle(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with (bundle / "model.onnx.data").open("r+b") as file:
        file.seek(64)
        file.write(b"\x01")
    line = error_line(capsys, bundle, str(bundle), "--precision", "q8")
    assert "model.onnx.data is not what the manifest says; got other bytes" in line


def test_a_folder_with_files_of_others(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (bundle / "notes.txt").write_text("mine")
    line = error_line(capsys, bundle, str(bundle), "--precision", "q8")
    assert "notes.txt" in line


def test_a_graph_with_nothing_to_quantize(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every matrix goes through an Identity first: a use that no quantized kernel has."""
    for name in ("model.plain.onnx", "model.onnx", "model.open.onnx"):
        model = onnx.load(bundle / name, load_external_data=False)
        hidden = {}
        for tensor in model.graph.initializer:
            if tensor.data_location == TensorProto.EXTERNAL and len(tensor.dims) == 2:
                hidden[tensor.name] = f"{tensor.name}/same"
        for node in model.graph.node:
            for i, read in enumerate(node.input):
                node.input[i] = hidden.get(read, read)
        for weight, same in hidden.items():
            model.graph.node.insert(0, helper.make_node("Identity", [weight], [same], same))
        (bundle / name).write_bytes(model.SerializeToString())
    data = json.loads((bundle / "manifest.json").read_text())
    for file in data["files"]:
        file |= {k: v for k, v in described(bundle / file["path"]).items() if k != "media_type"}
    (bundle / "manifest.json").write_text(json.dumps(data))
    for precision in ("q8", "int4"):
        line = error_line(capsys, bundle, str(bundle), "--precision", precision)
        assert "model.plain.onnx has nothing to quantize" in line


def test_a_variant_that_is_too_far_from_the_model(
    bundle: Path, recipe: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """4 bits a value with one scale for 256 of them."""
    coarse = {"match": "*", "treat": "blocks", "bits": 4, "block": 256, "rounding": "nearest"}
    flags = ["--precision", "int4", "--recipe", str(recipe(coarse))]
    line = error_line(capsys, bundle, str(bundle), *flags)
    assert "int4 is too far from the fp32 model" in line and "--allow-lossy" in line
    quantize(bundle, "int4", *flags[2:])
    assert read_manifest(bundle).variant("int4")["lossy"] is True


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "no space left for"),
        (OSError(errno.EACCES, os.strerror(errno.EACCES)), "can't write"),
    ],
)
def test_a_disk_that_fails_midway(
    bundle: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: OSError,
    said: str,
) -> None:
    def fail(folder: Path, data: dict[str, Any]) -> None:
        raise error

    monkeypatch.setattr(quantize_bundle, "save_manifest", fail)
    line = error_line(capsys, bundle, str(bundle), "--precision", "f16")
    # Nothing here names another place to write to.
    assert said in line and "--output" not in line and "nothing was changed" in line.lower()


def test_it_does_not_pull_the_folder_from_under_a_shell(
    bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bundle)
    line = error_line(capsys, bundle, "model.onnx", "--precision", "f16")
    assert "would be replaced while this command runs in it" in line and "--output" not in line


def test_ctrl_c(
    bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = contents(bundle)
    monkeypatch.setattr(quantize_bundle, "gate", stop)
    assert main(["quantize", str(bundle), "--precision", "q8"]) == 130
    assert contents(bundle) == before
    assert "no file was left half-written" in capsys.readouterr().err


# The exporter.


def made_alike(folder: Path) -> dict[str, bytes]:
    """Return a bundle's files without reference passes, which are PyTorch's in an export alone."""
    return {name: data for name, data in contents(folder).items() if ".safetensors" not in name}


def without_pass(variant: Variant) -> dict[str, object]:
    return {key: value for key, value in variant.items() if key != "reference_pass"}


def test_export_makes_the_same_variants(
    tiny_gpt2_checkpoint: Path,
    tmp_path: Path,
    bundle: Path,
    recipe: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    own = ["--recipe", str(recipe({"match": "*.mlp.*", "treat": "float16"}, ROUNDED))]
    command = ["--model", str(tiny_gpt2_checkpoint), "--layers", "0,2", "--allow-lossy"]
    command += ["--precision", "int8,q8,f16", *own]
    output = tmp_path / "exported" / "model.onnx"
    assert export_main([*command, "--output", str(output)]) == 0
    quantize(bundle, "int8,q8,f16", *own)
    theirs, ours = made_alike(output.parent), made_alike(bundle)
    assert theirs.keys() == ours.keys()
    assert all(theirs[name] == ours[name] for name in ours if name != "manifest.json")
    variants = [without_pass(v) for v in read_manifest(output.parent).variants]
    assert variants == [without_pass(v) for v in read_manifest(bundle).variants]

    # What it would write again isn't written; another recipe is.
    capsys.readouterr()
    assert export_main([*command, "--output", str(output)]) == 0
    assert "is up to date" in capsys.readouterr().out
    command[-1] = str(recipe(ROUNDED, name="another"))
    assert export_main([*command, "--output", str(output)]) == 0
    assert "is up to date" not in capsys.readouterr().out
    assert read_manifest(output.parent).variant("int8")["recipe"]["name"] == "another"


def test_another_calibration_is_another_bundle(
    tiny_gpt2_checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "exported" / "model.onnx"
    command = ["--model", str(tiny_gpt2_checkpoint), "--allow-lossy", "--output", str(output)]
    command += ["--precision", "int8_static"]
    assert export_main(command) == 0
    capsys.readouterr()
    assert export_main(command) == 0
    assert "is up to date" in capsys.readouterr().out
    assert export_main([*command, "--calibration-method", "percentile"]) == 0
    assert "is up to date" not in capsys.readouterr().out
    said = read_manifest(output.parent).variant("int8_static")["calibration"]
    assert said["method"] == "percentile"


def test_what_was_let_through_is_held_to_its_bounds_again(
    tiny_gpt2_checkpoint: Path,
    tmp_path: Path,
    recipe: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    coarse = {"match": "*", "treat": "blocks", "bits": 4, "block": 256, "rounding": "nearest"}
    output = tmp_path / "exported" / "model.onnx"
    command = ["--model", str(tiny_gpt2_checkpoint), "--output", str(output)]
    command += ["--precision", "q4", "--recipe", str(recipe(coarse))]
    assert export_main([*command, "--allow-lossy"]) == 0
    before = contents(output.parent)
    capsys.readouterr()
    assert export_main(command) == 2
    assert "q4 is too far from the fp32 model" in capsys.readouterr().err
    assert contents(output.parent) == before


def test_weights_beyond_float16(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = onnx.load(bundle / "model.onnx", load_external_data=False)
    tensor = next(t for t in model.graph.initializer if t.name == "transformer.wpe.weight")
    offset = next(int(e.value) for e in tensor.external_data if e.key == "offset")
    values = np.memmap(bundle / "model.onnx.data", "<f4", mode="r+", offset=offset, shape=(1,))
    values[0] = 1e6
    values.flush()
    data = json.loads((bundle / "manifest.json").read_text())
    for file in data["files"]:
        file |= {k: v for k, v in described(bundle / file["path"]).items() if k != "media_type"}
    (bundle / "manifest.json").write_text(json.dumps(data))
    line = error_line(capsys, bundle, str(bundle), "--precision", "fp16")
    assert "transformer.wpe.weight doesn't fit float16" in line
