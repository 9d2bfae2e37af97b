"""Every format of the bundled model, of a BERT of base size and of GPT-2 small, both with seeded
random weights: files, proof, times; writes the tables of docs/formats.md.

python benchmarks/formats.py --work FOLDER [--models demo,bert,gpt2] [--rounds 3] [--write]

FOLDER keeps checkpoints and files, so that a second call makes only what is missing.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from formats_document import write_document

from oriel.pipeline.write_results import RESULTS, read_rows

BERT = """
import sys, torch
from transformers import BertConfig, BertForMaskedLM
torch.manual_seed(0)
BertForMaskedLM(BertConfig()).save_pretrained(sys.argv[1])
"""
SMALL_BERT = """
import sys, torch
from transformers import BertConfig, BertForSequenceClassification
torch.manual_seed(0)
config = BertConfig(hidden_size=64, num_hidden_layers=2, num_attention_heads=4,
                    intermediate_size=128, vocab_size=1000, max_position_embeddings=160)
BertForSequenceClassification(config).save_pretrained(sys.argv[1])
"""
GPT2 = """
import sys, torch
from transformers import GPT2Config, GPT2LMHeadModel
torch.manual_seed(0)
GPT2LMHeadModel(GPT2Config()).save_pretrained(sys.argv[1])
"""


@dataclass(frozen=True)
class Model:
    """A model to measure."""

    make: str | None
    """A program that writes its checkpoint; None for the bundled model."""
    precision: str = "fp32"


MODELS: Mapping[str, Model] = {
    "demo": Model(None),
    "small-bert": Model(SMALL_BERT, "fp32,int8,int8_static"),
    "bert": Model(BERT, "fp32,int8,int8_static"),
    "gpt2": Model(GPT2, "fp32,int8,int8_static"),
}


def main() -> int:
    """Measure the models that are named, and write the document where that is asked for. Return 1
    where a format failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--models", default="demo,bert,gpt2")
    parser.add_argument("--formats", default="all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    codes = [
        measure(name, arguments.work, arguments.formats, arguments.rounds)
        for name in arguments.models.split(",")
    ]
    if arguments.write:
        found = {name: arguments.work / name / RESULTS for name in MODELS}
        write_document({n: read_rows(f) for n, f in found.items() if f.is_file()})
    return max(codes)


def measure(name: str, work: Path, formats: str, rounds: int) -> int:
    """Run the pipeline of one model and return its exit code. A format that fails has a row that
    says so."""
    model = MODELS[name]
    place = name
    if model.make is not None:
        checkpoint = work / f"{name}-checkpoint"
        if not (checkpoint / "config.json").is_file():
            work.mkdir(parents=True, exist_ok=True)
            subprocess.run([sys.executable, "-c", model.make, str(checkpoint)], check=True)
        place = str(checkpoint)
    command = [sys.executable, "-m", "oriel", "pipeline", place, "--output", str(work / name)]
    command += ["--formats", formats, "--precision", model.precision, "--rounds", str(rounds)]
    print(f"{name}:", flush=True)
    return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
