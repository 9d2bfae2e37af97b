"""Compare what transformers 5 and transformers 4, which some users of the model card still have,
make of the shipped demo weights. `make test-majors` installs the second beside the first and
names its folder in ORIEL_TRANSFORMERS_4; without it, its test is skipped."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoTokenizer, GPT2LMHeadModel, GPT2Tokenizer

from story_gpt2.tokenizer import read_tokenizer
from story_gpt2.weights_folder import WEIGHTS_FOLDER, demo_config, read_model, write_model

DESCRIBE = Path(__file__).parent / "describe_checkpoint.py"
OTHER_PACKAGES = os.environ.get("ORIEL_TRANSFORMERS_4")


def _json(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text(encoding="utf-8")))


def test_the_tokenizer_config_names_the_inputs_that_gpt2_is_fed() -> None:
    """The default differs between the majors, so the folder has to say it."""
    named = _json(WEIGHTS_FOLDER / "tokenizer_config.json")["model_input_names"]
    assert named == GPT2Tokenizer.model_input_names


def test_the_inputs_of_the_tokenizer_equal_its_ids_alone() -> None:
    """Feeding all that AutoTokenizer gives equals feeding ids alone; segment ids would not."""
    model, _ = read_model()
    inputs = AutoTokenizer.from_pretrained(WEIGHTS_FOLDER)("The keys", return_tensors="pt")
    with torch.no_grad():
        alone = model(input_ids=inputs["input_ids"]).logits
        assert torch.equal(model(**inputs).logits, alone)
        segments = torch.zeros_like(inputs["input_ids"])
        assert not torch.allclose(model(**inputs, token_type_ids=segments).logits, alone, atol=1)


def test_the_folder_is_what_its_writer_writes(tmp_path: Path) -> None:
    """Keep writer and folder together: the next training would undo a change of one alone."""
    tokenizer: Tokenizer = read_tokenizer(WEIGHTS_FOLDER)
    model = GPT2LMHeadModel(demo_config(tokenizer.get_vocab_size()))
    write_model(model, tokenizer, tmp_path / "model")
    written = sorted(tmp_path.joinpath("model").glob("*.json"))
    assert [file.name for file in written] == [
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
    ]
    for file in written:
        made, shipped = _json(file), _json(WEIGHTS_FOLDER / file.name)
        for version in (made, shipped):
            version.pop("transformers_version", None)
        assert made == shipped, file.name


@pytest.mark.slow
@pytest.mark.skipif(OTHER_PACKAGES is None, reason="ORIEL_TRANSFORMERS_4 names no folder")
def test_both_majors_make_the_same_of_the_folder() -> None:
    """Ids, inputs, logits, decoded text and every way to generate, with the same torch."""
    ours = _described({})
    others = _described({"PYTHONPATH": str(OTHER_PACKAGES)})
    versions = ours.pop("version"), others.pop("version")
    assert [version.partition(".")[0] for version in versions] == ["5", "4"]
    for mine, other in zip(ours["texts"], others["texts"], strict=True):
        torch.testing.assert_close(
            torch.tensor(other.pop("logits")), torch.tensor(mine.pop("logits")), rtol=0, atol=1e-4
        )
    assert others == ours


def _described(environment: dict[str, str]) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(DESCRIBE), str(WEIGHTS_FOLDER)],
        env={**os.environ, "HF_HUB_OFFLINE": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(json.loads(done.stdout))
