"""Run encoders with Optimum's ORTModelFor… classes, beside transformers 4. Reads the list of
test_library_encoders.py on standard input and prints, for each, the ids and the outputs."""

from __future__ import annotations

import json
import sys
from typing import Any

from optimum import onnxruntime as ort
from transformers import AutoTokenizer


def run(asked: dict[str, Any]) -> dict[str, Any]:
    """Return {name: values} of the tokenizer's input_ids and of the model's outputs."""
    # The folder alone, as a user says it; another precision by its file's name.
    chosen = {} if asked["file"] is None else {"subfolder": "onnx", "file_name": asked["file"]}
    tokenizer = AutoTokenizer.from_pretrained(asked["folder"])
    model = getattr(ort, f"ORTModelFor{asked['task']}").from_pretrained(asked["folder"], **chosen)
    texts = [asked["texts"], asked["pairs"]] if asked["pairs"] else [asked["texts"]]
    fed = tokenizer(*texts, padding=True, return_tensors="pt")
    made = model(**fed)
    values = {name: made[name].tolist() for name in asked["outputs"]}
    return {"input_ids": fed["input_ids"].tolist(), **values}


def main() -> None:
    print(json.dumps([run(asked) for asked in json.load(sys.stdin)]))


main()
