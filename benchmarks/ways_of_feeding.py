"""Measure how far a variant's logits move when the same texts are fed token by token instead of at
once, and how far they and the effects of interventions are from PyTorch's float32: norms of
differences over norms.

.venv/bin/python benchmarks/ways_of_feeding.py        # opens the bundle that `make bundle` makes
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForCausalLM

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests" / "contract_client"), str(ROOT / "examples" / "story_gpt2")]

from contract_client import Bundle, Run  # noqa: E402 - its folder is no package

from story_gpt2.weights_folder import WEIGHTS_FOLDER  # noqa: E402

BUNDLE = ROOT / "apps" / "web" / "static" / "models" / "demo"
TEXTS = (
    "When Robin and Clara went to the lake, Clara gave a book to",
    "The keys to the cabinet",
    "One, two, three,",
)
SCALE, ADD = "layer_{}_attn_z/0/scale", "layer_{}_resid_post/0/add"
HEADS = 3
"""Heads that are switched off, one at a time, in every second layer."""

Array = NDArray[Any]


def distance(got: Array, want: Array) -> float:
    return float(np.linalg.norm(got - want) / np.linalg.norm(want))


def effects(run: Run, ids: list[int], shape: dict[str, Any]) -> Array:
    """Return what each switched-off head and each added vector changes in the last logits."""

    def last(**changes: Array) -> Array:
        logits: Array = Run(run.session, run.document).feed(ids, **changes)["logits"][0, -1]
        return logits

    neutral: dict[str, Array] = {}
    for layer in range(0, shape["layers"], 2):
        neutral[SCALE.format(layer)] = np.ones((1, shape["heads"], 1, 1), np.float32)
        neutral[ADD.format(layer)] = np.zeros((1, 1, shape["hidden"]), np.float32)
    changes: list[dict[str, Array]] = []
    draw = np.random.default_rng(0)
    for layer in range(0, shape["layers"], 2):
        for head in range(min(HEADS, shape["heads"])):
            scale = np.ones((1, shape["heads"], 1, 1), np.float32)
            scale[0, head] = 0
            changes.append({SCALE.format(layer): scale})
        added = draw.normal(size=(1, 1, shape["hidden"])).astype(np.float32)
        changes.append({ADD.format(layer): added})
    whole = last(**neutral)
    return np.array([last(**(neutral | change)) - whole for change in changes])


def main() -> None:
    """Print a row for each variant: the largest over the texts."""
    bundle = Bundle(BUNDLE)
    model: Any = AutoModelForCausalLM.from_pretrained(WEIGHTS_FOLDER)
    shape = bundle.manifest["model"]["shape"]
    wanted: Array | None = None
    for variant in (v["name"] for v in bundle.manifest["variants"]):
        with tempfile.TemporaryDirectory() as work:
            run = bundle.open(variant, "decoder", [], Path(work))
            apart, off = [], []
            for text in TEXTS:
                ids = bundle.tokens(text)
                with torch.no_grad():
                    truth = model(torch.tensor([ids])).logits.numpy()
                once = Run(run.session, run.document).feed(ids)["logits"]
                by_token = Run(run.session, run.document)
                each = np.concatenate([by_token.feed([token])["logits"] for token in ids], axis=1)
                apart.append(distance(each, once))
                off.append(distance(once, truth))
            edits = {
                name.format(layer).partition("/")[0]: [name.rpartition("/")[2]]
                for name in (SCALE, ADD)
                for layer in range(0, shape["layers"], 2)
            }
            edited = bundle.open(variant, "open", [], Path(work), edits)
            found = effects(edited, bundle.tokens(TEXTS[0]), shape)
            wanted = found if wanted is None else wanted
            print(
                f"{variant:12} one at a time {max(apart):.1e}  from PyTorch {max(off):.1e}  "
                f"effects from fp32's {distance(found, wanted):.3f}"
            )


if __name__ == "__main__":
    main()
