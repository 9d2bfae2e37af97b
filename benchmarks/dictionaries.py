"""Trains dictionaries of several sizes on one activation of the bundled model and prints their
figures on held-out text as the table of docs/dictionaries.md.

Run it by `python benchmarks/dictionaries.py`; `--steps 100 --tokens 20000` tries it in a minute.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SIZES = ((512, 4), (512, 8), (512, 16), (512, 32), (128, 16), (1024, 16))
"""(features, k) of each row."""


def main() -> int:
    """Train a dictionary for each size, all on the same tokens, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--reads", default="mlp_output:11")
    parser.add_argument("--tokens", type=int, default=60_000)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    for line in table(arguments):
        print(line, flush=True)
    return 0


def table(arguments: argparse.Namespace) -> Iterator[str]:
    """Yield the lines of the table, a row for each size."""
    import torch

    from oriel.dictionary_training.batch_topk import TrainSettings
    from oriel.dictionary_training.make_dictionary import prepare, train_and_measure
    from oriel.dictionary_training.named_activations import activation_of
    from oriel.dictionary_training.source import open_source
    from oriel.dictionary_training.texts import choose_texts
    from oriel.progress import PlainLines

    display = PlainLines()
    with open_source(arguments.model, None, display) as source:
        activation = activation_of("--reads", arguments.reads, source.shape)
        texts = choose_texts(source.reader, None, arguments.tokens)
        task = prepare(source, (activation, activation), texts, display)
        yield (
            f"{arguments.reads}, {texts.fitting.tokens} tokens, {arguments.steps} steps, seed "
            f"{arguments.seed}, {torch.get_num_threads()} threads; "
            f"{task.baseline.model:.4f} nats, {task.baseline.zeroed:.4f} with zeros"
        )
        yield ""
        yield "| Features | k | Loss recovered | Explained variance | Active | Dead | CPU seconds |"
        yield "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
        for features, k in SIZES:
            settings = TrainSettings(features, k, steps=arguments.steps, seed=arguments.seed)
            begun = time.process_time()
            made = train_and_measure(task, settings, display, Path("dictionary.safetensors"))
            spent = time.process_time() - begun
            found = made.description["measured"]
            yield (
                f"| {features} | {k} | {found['loss_recovered']:.3f} "
                f"| {found['explained_variance']:.4f} | {found['l0']:.1f} "
                f"| {found['dead_features']:.0f} | {spent:.0f} |"
            )


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "tools" / "model-export"))
    sys.exit(main())
