"""A client that was written from the contract alone opens every variant of a bundle and computes
what PyTorch does with the checkpoint."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import demo_bundle
import numpy as np
import pytest
import torch
from contract_client import Bundle, Run
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from story_gpt2.weights_folder import WEIGHTS_FOLDER

CLIENT = Path(__file__).resolve().parents[1] / "contract_client"

TEXT = "When Robin and Clara went to the lake, Clara gave a book to"
VARIANTS = {
    # The largest distance from float32, over the length of what is compared; and between ways of
    # feeding the same text, where int8 finds other ranges and int4 has other kernels for one token.
    "fp32": (1e-5, 1e-5),
    "f16": (1e-3, 1e-5),
    "q8": (0.02, 1e-5),
    "q4": (0.1, 1e-5),
    "fp16": (2e-3, 2e-3),
    "int8": (0.05, 0.05),
    "int8_static": (0.05, 1e-3),
    "int4": (0.1, 0.02),
}


@pytest.fixture(scope="module")
def bundle_folder() -> Path:
    # It exports the model, unless the page's demo is already of this code.
    subprocess.run([sys.executable, demo_bundle.__file__], check=True)
    return demo_bundle.MANIFEST.parent


@pytest.fixture(scope="module")
def model() -> PreTrainedModel:
    loaded: PreTrainedModel = AutoModelForCausalLM.from_pretrained(WEIGHTS_FOLDER)
    loaded.train(False)
    return loaded


@pytest.fixture(scope="module")
def ids() -> list[int]:
    found: list[int] = AutoTokenizer.from_pretrained(WEIGHTS_FOLDER)(TEXT)["input_ids"]
    return found


def distance(got: NDArray[Any], want: NDArray[Any]) -> float:
    assert got.shape == want.shape
    return float(np.linalg.norm(got - want) / np.linalg.norm(want))


def test_the_client_imports_nothing_of_ours() -> None:
    names = set()
    for node in ast.walk(ast.parse((CLIENT / "contract_client.py").read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
    standard = {"__future__", "base64", "hashlib", "json", "math", "pathlib", "typing"}
    assert names - standard == {"numpy", "onnxruntime", "tokenizers"}


def test_it_opens_every_variant_there_is(bundle_folder: Path) -> None:
    assert [v["name"] for v in Bundle(bundle_folder).manifest["variants"]] == list(VARIANTS)


def test_its_tokens_are_the_checkpoints(bundle_folder: Path, ids: list[int]) -> None:
    bundle = Bundle(bundle_folder)
    assert bundle.tokens(TEXT) == ids
    cases = json.loads(bundle.read(bundle.manifest["tokenizer"]["cases"]))["cases"]
    assert cases
    for case in cases:
        assert bundle.tokens(case["text"]) == case["ids"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_each_variant_computes_what_the_checkpoint_does(
    variant: str, bundle_folder: Path, model: PreTrainedModel, ids: list[int], tmp_path: Path
) -> None:
    bundle = Bundle(bundle_folder)
    with torch.no_grad():
        truth = model(torch.tensor([ids]), output_hidden_states=True)
    stream = truth.hidden_states[4].numpy()
    largest, between = VARIANTS[variant]
    taps = ["layer_3_resid_post", "layer_2_lens_probs"]
    run = bundle.open(variant, "interactive", taps, tmp_path)
    whole = run.feed(ids)
    assert distance(whole["logits"], truth.logits.numpy()) <= largest
    assert distance(whole["layer_3_resid_post"], stream) <= largest
    assert whole["layer_2_lens_ids"].dtype == np.int64
    plain = bundle.open(variant, "plain", [], tmp_path).feed(ids)
    assert distance(plain["logits"], whole["logits"]) <= between
    cached = Run(run.session, run.document)
    parts = [cached.feed(ids[:5]), *(cached.feed([token]) for token in ids[5:])]
    for name in ("logits", "layer_3_resid_post"):
        fed = np.concatenate([part[name] for part in parts], axis=1)
        assert distance(fed, whole[name]) <= between


def test_a_changed_file_is_refused(bundle_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(bundle_folder, tmp_path / "changed")
    data = bytearray((folder / "model_q4.onnx.data").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "model_q4.onnx.data").write_bytes(data)
    with pytest.raises(ValueError, match=r"model_q4\.onnx\.data has sha256"):
        Bundle(folder).open("q4", "plain", [], tmp_path)


def test_an_expansion_that_rounds_otherwise_is_refused(
    bundle_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The digest holds a reader to every bit of the products."""
    import contract_client

    exact = contract_client.expand_weight
    off = np.float32(1 + 2**-23)
    monkeypatch.setattr(contract_client, "expand_weight", lambda *a: exact(*a) * off)
    with pytest.raises(ValueError, match=r"model\.onnx\.data has sha256"):
        Bundle(bundle_folder).open("q8", "plain", [], tmp_path)
