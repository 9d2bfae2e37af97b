"""A bundle's tokenizer on its whole way: exported, verified, published, calibrated, measured with.
The checkpoint's tokenizer pads, cuts and puts two tokens around a text, as some are saved."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_lines import export_main, verify_main
from conftest import save_random
from tokenizer_folders import VOCAB, byte_level, save
from tokenizers import processors
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from oriel.cli import main
from oriel.contract.manifest import read_manifest
from oriel.models.demo.bundled_text import held_out_passages, training_passages
from oriel.models.find_checkpoint import find_checkpoint
from oriel.models.load_model import load_model
from oriel.progress import Silent
from oriel.publishing import publish
from oriel.publishing.first_pass import Example, compute_first_pass, kept_first_pass
from oriel.publishing.to_folder import FolderPlace
from oriel.verification.report import Findings
from oriel.verification.tokenizer_checks import check_tokenizer

CONTEXT = 48


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    config = LlamaConfig(
        vocab_size=VOCAB,
        max_position_embeddings=CONTEXT,
        hidden_size=16,
        intermediate_size=20,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        bos_token_id=1,
        eos_token_id=2,
    )
    folder = tmp_path_factory.mktemp("tokenizers") / "around"
    save_random(LlamaForCausalLM(config), folder)
    tokenizer = byte_level(specials=("<unk>", "<s>", "</s>", "<pad>"))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="$A $B", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    tokenizer.enable_padding(length=24, pad_id=3, pad_token="<pad>")
    tokenizer.enable_truncation(5)
    save(folder, tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>")
    ends = {"bos_token_id": 1, "eos_token_id": [2, 3, 900]}
    (folder / "generation_config.json").write_text(json.dumps(ends))
    return folder


@pytest.fixture(scope="module")
def exported(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its bundle with fp32, fp16 and int8_static. Shared: copy it before changing anything."""
    output = tmp_path_factory.mktemp("tokenizers") / "bundle" / "model.onnx"
    argv = ["--model", str(checkpoint), "--output", str(output), "--json", "--allow-lossy"]
    assert export_main([*argv, "--precision", "fp32,fp16,int8_static"]) == 0
    return output.parent


@pytest.fixture
def bundle(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "bundle"))


def transformers_ids(checkpoint: Path, text: str) -> list[int]:
    """With what transformers puts around a text, but for the end."""
    ids: list[int] = AutoTokenizer.from_pretrained(checkpoint)(text)["input_ids"]
    assert ids[0] == 1 and ids[-1] == 2
    return ids[:-1]


def rewrite(bundle: Path, change: Any) -> None:
    """Change the manifest; sign for changed files."""
    file = bundle / "manifest.json"
    data = json.loads(file.read_text())
    change(data)
    for descriptor in data["files"]:
        content = (bundle / descriptor["path"]).read_bytes()
        descriptor["bytes"] = len(content)
        descriptor["digest"] = f"sha256:{hashlib.sha256(content).hexdigest()}"
    file.write_text(json.dumps(data))


def test_the_manifest_says_what_begins_and_ends_a_text(exported: Path) -> None:
    data = read_manifest(exported).data
    assert data["tokenizer"]["first_tokens"] == [1]
    assert data["model"]["end_token_ids"] == [2, 3] and data["model"]["eos_token_id"] == 2
    assert data["tokenizer"]["agreement"]["differing"] == 0
    assert data["tokenizer"]["cases"] == "tokenizer_cases.json"


def test_end_tokens_without_a_row_are_told(
    exported: Path, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    argv = ["--model", str(checkpoint), "--output", str(exported / "model.onnx"), "--allow-lossy"]
    assert export_main([*argv, "--precision", "fp32,fp16,int8_static"]) == 0
    out, err = capsys.readouterr()
    assert "up to date" in out
    said = " ".join(err.split())
    assert "no row for: 900 in generation_config.json. Texts end at 2, 3." in said


def corpus_ids(checkpoint: Path, texts: Sequence[str], longest: int, maximum: int) -> str:
    """The digest of texts as transformers tokenizes them, cut as the contract says."""
    found, left = [], maximum
    for text in texts:
        whole = transformers_ids(checkpoint, text)
        for start in range(0, len(whole), longest):
            part = whole[start : start + longest][:left]
            if len(part) > 1:
                found += part
                left -= len(part)
        if left < 2:
            break
    return f"sha256:{hashlib.sha256(np.array(found, '<i8').tobytes()).hexdigest()}"


def test_calibration_and_fidelity_read_what_transformers_reads(
    exported: Path, checkpoint: Path
) -> None:
    variant = read_manifest(exported).variant("int8_static")
    said = variant["calibration"]["text"]
    assert said["name"] == "bundled corpus, training passages"
    assert said["digest"] == corpus_ids(checkpoint, training_passages(), CONTEXT, said["tokens"])
    said = variant["fidelity"]["text"]
    assert said["name"] == "the bundled corpus, held-out passages"
    assert said["digest"] == corpus_ids(checkpoint, held_out_passages(), CONTEXT, said["tokens"])


def test_the_first_pass_is_of_the_whole_prompt_with_what_goes_first(
    exported: Path, checkpoint: Path, tmp_path: Path
) -> None:
    from safetensors.numpy import load

    prompt = "The ferry left the harbour"
    want = transformers_ids(checkpoint, prompt)
    assert 5 < len(want) != 24
    data = read_manifest(exported).data
    found = compute_first_pass(exported, data, prompt)
    assert found.data is not None
    assert load(found.data)["input_ids"].tolist() == [want]
    place = FolderPlace(str(tmp_path / "published"))
    publish.publish(exported, place, "1.0.0", Silent(), example=Example(prompt))
    published = json.loads((place.folder / "manifest.json").read_text())
    assert published["tokenizer"]["first_tokens"] == [1]
    assert kept_first_pass(data, prompt, [published]) is not None
    # One that began otherwise is of other tokens.
    published["tokenizer"]["first_tokens"] = []
    assert kept_first_pass(data, prompt, [published]) is None


def tokenizer_verdicts(bundle: Path, checkpoint: Path) -> dict[str, tuple[str, str | None]]:
    findings = Findings()
    loaded = load_model(find_checkpoint(str(checkpoint)))
    check_tokenizer(read_manifest(bundle), bundle, loaded, findings)
    return {name: (check.verdict, check.detail) for name, check in findings.checks.items()}


def test_a_sound_bundle_passes_verification(
    exported: Path, checkpoint: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verify_main(["--model", str(exported), "--checkpoint", str(checkpoint), "--json"]) == 0
    checks = {check["name"]: check for check in json.loads(capsys.readouterr().out)["checks"]}
    names = {"tokenizer_there", "tokenizer_ids", "tokenizer_rows", "tokenizer_first_tokens"}
    assert {checks[name]["verdict"] for name in names} == {"passed"}


def merged_otherwise(bundle: Path) -> None:
    data = json.loads((bundle / "tokenizer.json").read_text())
    data["model"]["merges"] = data["model"]["merges"][:-3]
    (bundle / "tokenizer.json").write_text(json.dumps(data))


def lowercased(bundle: Path) -> None:
    data = json.loads((bundle / "tokenizer.json").read_text())
    data["normalizer"] = {"type": "Lowercase"}
    (bundle / "tokenizer.json").write_text(json.dumps(data))


def stripped(bundle: Path) -> None:
    data = json.loads((bundle / "tokenizer.json").read_text())
    data["added_tokens"][1]["lstrip"] = True
    (bundle / "tokenizer.json").write_text(json.dumps(data))


def swapped_cases(bundle: Path) -> None:
    data = json.loads((bundle / "tokenizer_cases.json").read_text())
    data["cases"][3]["ids"].append(5)
    (bundle / "tokenizer_cases.json").write_text(json.dumps(data))


def broken(bundle: Path) -> None:
    (bundle / "tokenizer.json").write_text("{}")


@pytest.mark.parametrize("damage", [merged_otherwise, lowercased, stripped, swapped_cases, broken])
def test_other_ids_are_named(damage: Any, bundle: Path, checkpoint: Path) -> None:
    damage(bundle)
    rewrite(bundle, lambda _: None)
    assert tokenizer_verdicts(bundle, checkpoint)["tokenizer_ids"][0] == "failed"


def test_an_id_without_a_row_is_named(bundle: Path, checkpoint: Path) -> None:
    data = json.loads((bundle / "tokenizer_cases.json").read_text())
    data["cases"][0]["ids"][0] = VOCAB
    (bundle / "tokenizer_cases.json").write_text(json.dumps(data))
    rewrite(bundle, lambda _: None)
    assert tokenizer_verdicts(bundle, checkpoint)["tokenizer_rows"][0] == "failed"


@pytest.mark.parametrize("first", [[], [2], [1, 1]])
def test_other_first_tokens_are_named(first: list[int], bundle: Path, checkpoint: Path) -> None:
    rewrite(bundle, lambda data: data["tokenizer"].update(first_tokens=first))
    verdict, detail = tokenizer_verdicts(bundle, checkpoint)["tokenizer_first_tokens"]
    assert verdict == "failed" and detail == f"manifest {first}, transformers [1]"


def test_a_lost_tokenizer_is_named(bundle: Path, checkpoint: Path) -> None:
    rewrite(bundle, lambda data: data.pop("tokenizer"))
    assert tokenizer_verdicts(bundle, checkpoint)["tokenizer_there"][0] == "failed"
    # An older bundle may lack what could not be taken along then.
    rewrite(bundle, lambda data: data["model"].pop("end_token_ids"))
    assert tokenizer_verdicts(bundle, checkpoint) == {}


def test_a_copy_of_the_checkpoints_tokenizer_is_read_without_its_padding(
    bundle: Path, checkpoint: Path, tmp_path: Path
) -> None:
    """A bundle that others wrote may have one."""
    shutil.copyfile(checkpoint / "tokenizer.json", bundle / "tokenizer.json")

    def copied(data: dict[str, Any]) -> None:
        data["tokenizer"] = {"tokenizer": "tokenizer.json", "config": "tokenizer_config.json"}

    rewrite(bundle, copied)
    text = tmp_path / "text.txt"
    text.write_text("The ferry left the harbour before the fog had lifted.\n" * 9)
    argv = ["quantize", str(bundle), "--precision", "int8_static", "--allow-lossy"]
    assert main([*argv, "--calibration", str(text)]) == 0
    said = read_manifest(bundle).variant("int8_static")["calibration"]["text"]
    ids = transformers_ids(checkpoint, text.read_text().splitlines()[0])
    assert said["tokens"] == 9 * len(ids)


def test_a_tokenizer_that_does_not_fit_leaves_a_bundle_that_works(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The advice to export again once led in a circle."""
    folder = Path(shutil.copytree(checkpoint, tmp_path / "foreign"))
    save(folder, byte_level(VOCAB + 40))
    graph = tmp_path / "bundle" / "model.onnx"
    argv = ["--model", str(folder), "--output", str(graph), "--allow-lossy"]
    assert export_main([*argv, "--precision", "fp32,int8_static"]) == 0
    out, err = capsys.readouterr()
    assert "it isn't this model's: " in " ".join(err.split())
    assert "no tokenizer: the page takes token ids" in out
    data = read_manifest(graph.parent).data
    assert "tokenizer" not in data
    assert read_manifest(graph.parent).variant("int8_static")["calibration"]["text"]["name"] == (
        "random ids"
    )
