"""Measure what it would cost int8's graphs to round activations by ranges of each token's own, so
that a token's numbers don't depend on what is fed beside it. ONNX has no operator for that:
DynamicQuantizeLinear takes one range for a whole tensor, and with MatMulInteger it is one kernel of
ONNX Runtime, which the same product by rows is not.

.venv/bin/python benchmarks/row_ranges.py
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import parser

HIDDEN, INTERMEDIATE = 768, 3072
"""Sizes of GPT-2 small's MLP."""
TOKENS = (1, 64)
ROUNDS = 15

HEADER = '<ir_version: 9, opset_import: ["" : 20]>'
PORTS = f"g (float[s, {HIDDEN}] x) => (float[s, {INTERMEDIATE}] y)"
PARAMETERS = f"uint8[{HIDDEN}, {INTERMEDIATE}] w, float[{INTERMEDIATE}] w_scale, uint8 w_zero"
WHOLE = """
  q, scale, zero = DynamicQuantizeLinear(x)
  product = MatMulInteger(q, w, zero, w_zero)
  floats = Cast<to = 1>(product)
  scales = Mul(scale, w_scale)
  y = Mul(floats, scales)
"""
# A zero point for each row is refused by ONNX Runtime's MatMulInteger: ranges lie around 0.
ROWS = """
  last = Constant<value_ints = [1]>()
  middle = Constant<value = float {128.0}>()
  steps = Constant<value = float {127.0}>()
  zero = Cast<to = 2>(middle)
  sizes = Abs(x)
  largest = ReduceMax<keepdims = 1>(sizes, last)
  scale = Div(largest, steps)
  divided = Div(x, scale)
  rounded = Round(divided)
  shifted = Add(rounded, middle)
  q = Cast<to = 2>(shifted)
  product = MatMulInteger(q, w, zero, w_zero)
  floats = Cast<to = 1>(product)
  by_row = Mul(floats, scale)
  y = Mul(by_row, w_scale)
"""


def session(body: str) -> onnxruntime.InferenceSession:
    """Build one product of a weight of 8 bits with what the body makes of its input."""
    rng = np.random.default_rng(0)
    model = parser.parse_model(f"{HEADER} {PORTS} <{PARAMETERS}> {{ {body} }}")
    values = {
        "w": rng.integers(0, 255, (HIDDEN, INTERMEDIATE), np.uint8),
        "w_scale": np.full(INTERMEDIATE, 0.001, np.float32),
        "w_zero": np.array(128, np.uint8),
    }
    del model.graph.initializer[:]
    for name, value in values.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(value, name))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    return onnxruntime.InferenceSession(model.SerializeToString(), options)


def milliseconds(run: onnxruntime.InferenceSession, x: NDArray[Any]) -> float:
    """Return the median time of a run."""
    times = []
    for _ in range(ROUNDS + 3):
        begin = time.perf_counter()
        for _ in range(10):
            run.run(["y"], {"x": x})
        times.append((time.perf_counter() - begin) * 100)
    return statistics.median(times[3:])


def main() -> None:
    """Print the times of both for one token and for a prompt."""
    whole, rows = session(WHOLE), session(ROWS)
    for tokens in TOKENS:
        x = np.random.default_rng(1).normal(size=(tokens, HIDDEN)).astype(np.float32)
        one, each = milliseconds(whole, x), milliseconds(rows, x)
        print(
            f"{tokens:3} tokens: one range {one:.3f} ms, a range for each row {each:.3f} ms, "
            f"{each / one:.2f} times"
        )


if __name__ == "__main__":
    main()
