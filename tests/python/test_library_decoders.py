"""Open the folder of `oriel convert DECODER --format onnx` with transformers.js and with Optimum,
unchanged, and hold what they generate to transformers. `make test-libraries` installs them and
names their folder in ORIEL_LIBRARIES; without it these tests are skipped."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import save_random
from generating_libraries import (
    GREEDY,
    PROMPTS,
    asked_of,
    in_a_loop,
    in_transformers,
    tiny_decoder,
)
from library_programs import LIBRARIES, NEEDS_LIBRARIES, run_node, run_python
from tokenizer_folders import byte_level, save
from transformers import AutoModelForCausalLM, AutoTokenizer

from oriel.cli import main

pytestmark = NEEDS_LIBRARIES
TEXTS = ["The ferry left", "A kettle whistled twice; the clerk"]
FORMS = [("model_quantized.onnx", "q8"), ("model_int8.onnx", "int8")]


@dataclass(frozen=True)
class Converted:
    """A tiny random checkpoint with a tokenizer, and the folder that it was converted to."""

    checkpoint: Path
    folder: Path


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def converted(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Converted:
    folder = tmp_path_factory.mktemp("decoders")
    model = tiny_decoder(request.param)
    checkpoint = save_random(model, folder / "from", seed=1, spread=0.1)
    save(checkpoint, byte_level(), eos_token="<|endoftext|>")
    made = folder / f"tiny-{request.param}"
    words = ["--format", "onnx", "--precision", "int8,int8_static", "--output", str(made)]
    assert main(["convert", str(checkpoint), *words]) == 0
    return Converted(checkpoint, made)


def in_node(asked: dict[str, object]) -> Any:
    return run_node("transformers_js_generates.mjs", asked, LIBRARIES / "transformers_js")


def test_both_libraries_generate_what_transformers_does(converted: Converted) -> None:
    """A batch of unequal lengths, padded. Nothing but the folder is given, as a user does."""
    want = in_transformers(converted.checkpoint, GREEDY)
    assert len({len(prompt) for prompt in PROMPTS}) > 1 and len(set(map(tuple, want))) > 1
    asked = asked_of(converted.folder, GREEDY)
    assert run_python("optimum_generates.py", asked, "optimum") == want
    assert in_node({**asked, "dtype": None}) == want


@pytest.mark.parametrize(("file", "dtype"), FORMS)
def test_both_libraries_generate_with_int8_forms(
    converted: Converted, file: str, dtype: str
) -> None:
    """An int8 form is another model than the checkpoint: its own likeliest tokens are the truth."""
    want = in_a_loop(converted.folder / "onnx" / file, PROMPTS)
    asked = asked_of(converted.folder, GREEDY, file=file, dtype=dtype)
    assert run_python("optimum_generates.py", asked, "optimum") == want
    assert in_node(asked) == want


def test_the_pipeline_of_transformers_js_writes_the_text_that_transformers_does(
    converted: Converted,
) -> None:
    """With the folder's own tokenizer, from the text and to it."""
    tokenizer = AutoTokenizer.from_pretrained(converted.checkpoint)
    model: Any = AutoModelForCausalLM.from_pretrained(converted.checkpoint)
    made = in_node(asked_of(converted.folder, GREEDY, texts=TEXTS, dtype="fp32"))
    for text, got in zip(TEXTS, made, strict=True):
        ids = tokenizer(text, return_tensors="pt")["input_ids"]
        want = model.generate(ids, max_new_tokens=8, do_sample=False)
        assert got == tokenizer.decode(want[0], skip_special_tokens=True)
