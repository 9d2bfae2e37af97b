"""Prints how many texts a second an encoder takes at batch 1: a checkpoint in PyTorch, or an ONNX
file in ONNX Runtime. The median of repeated runs, after some that warm up.

Usage: python texts_per_second.py PLACE TOKENS THREADS
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

WARM_UP, RUNS = 5, 30


def in_pytorch(folder: Path, ids: np.ndarray, threads: int) -> Callable[[], object]:
    import torch
    from transformers import AutoModelForMaskedLM

    torch.set_num_threads(threads)
    model = AutoModelForMaskedLM.from_pretrained(folder).eval()
    tokens = torch.from_numpy(ids)
    mask = torch.ones_like(tokens)

    def run() -> object:
        with torch.no_grad():
            return model(input_ids=tokens, attention_mask=mask)

    return run


def in_onnxruntime(file: Path, ids: np.ndarray, threads: int) -> Callable[[], object]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    fed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": ids * 0}
    return lambda: session.run(None, fed)


def main() -> None:
    place, tokens, threads = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    ids = 1000 + np.arange(tokens, dtype=np.int64)[None] * 7919 % 20_000
    run = (in_pytorch if place.is_dir() else in_onnxruntime)(place, ids, threads)
    taken = []
    for _ in range(WARM_UP + RUNS):
        began = time.perf_counter()
        run()
        taken.append(time.perf_counter() - began)
    print(1 / statistics.median(taken[WARM_UP:]))


main()
