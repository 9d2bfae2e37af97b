"""Times one graph in ONNX Runtime on the CPU: a process for each, so that none finds another's
memory. precision.py starts it.

python native_speed.py '{"graph": …, "threads": 2, "tokens": 64, "prompts": 12, "steps": 16, …}'
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

Array = npt.NDArray[Any]
Outputs = dict[str, Array]


class Model:
    """A decoder with a cache: Oriel's decoder graph or open graph, closed; its interactive graph of
    contract 1.x; or Optimum's."""

    def __init__(self, graph: str, threads: int) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        ports = [*self.session.get_inputs(), *self.session.get_overridable_initializers()]
        self.inputs = {value.name: value.shape for value in ports}
        self.outputs = [value.name for value in self.session.get_outputs()]

    def run(self, ids: Array, last_only: bool, cache: Outputs | None = None) -> Outputs:
        """ids (seq); cache: outputs of the run that came before."""
        feeds = {name: self._feed(name, ids, last_only, cache) for name in self.inputs}
        return dict(zip(self.outputs, self.session.run(self.outputs, feeds), strict=True))

    def _feed(self, name: str, ids: Array, last_only: bool, cache: Outputs | None) -> Array:
        shape = self.inputs[name]
        if name.startswith("past_key_values"):
            if cache is not None:
                return cache[name.replace("past_key_values", "present")]
            return np.zeros((1, shape[1], 0, shape[3]), np.float32)
        past = 0 if cache is None else cache["present.0.key"].shape[2]
        if name == "input_ids":
            return ids[None]
        if name == "attention_mask":
            return np.ones((1, past + len(ids)), np.int64)
        if name == "position_ids":
            return np.arange(past, past + len(ids))[None]
        if name == "logits_start":
            return np.array([-1 if last_only else 0])
        if name == "num_logits_to_keep":
            return np.array(1 if last_only else 0)
        if name.endswith("_head_scale"):
            return np.ones(shape, np.float32)
        return np.zeros((1, 1, shape[-1]), np.float32)


def timed(times: int, run: Callable[[], Outputs]) -> tuple[list[float], Outputs]:
    """Return the milliseconds of each run, and the last one's result."""
    taken: list[float] = []
    while True:
        began = time.perf_counter()
        result = run()
        taken.append((time.perf_counter() - began) * 1e3)
        if len(taken) >= times:
            return taken, result


def measure(job: dict[str, Any]) -> dict[str, Any]:
    """Measure the timings that browser/jobs.ts describes."""
    began = time.perf_counter()
    model = Model(job["graph"], job["threads"])
    session = (time.perf_counter() - began) * 1e3
    ids = 1 + np.arange(job["tokens"] + 1) * 7919 % (job["vocab"] - 1)
    prompt = ids[:-1]
    chooses = bool({"logits_start", "num_logits_to_keep"} & set(model.inputs))
    last_first = chooses and bool(job["lastFirst"])
    count = job["prompts"] // 2 if chooses else job["prompts"]
    early = timed(count, lambda: model.run(prompt, True))[0] if last_first else None
    everything, cache = timed(count, lambda: model.run(prompt, False))
    last = early or (timed(count, lambda: model.run(prompt, True))[0] if chooses else None)
    step, cached = timed(job["steps"], lambda: model.run(ids[-1:], True, cache))
    recompute, whole = timed(job["prompts"] // 2, lambda: model.run(ids, True))
    want = whole["logits"][0, -1]
    error = float(np.abs(cached["logits"][0, -1] - want).max() / want.std())
    if not error < job["tolerance"]:
        raise SystemExit(f"a cached step is {error:.3g} standard deviations from the whole text")
    return {
        "expand": None,
        "session": session,
        "all": everything,
        "last": last,
        "lastFirst": last_first,
        "step": step,
        "recompute": recompute,
    }


if __name__ == "__main__":
    print(json.dumps(measure(json.loads(sys.argv[1]))))
