"""Training the demo model: one seeded command, ``python -m story_gpt2.train``.

The corpus is in corpus.py, the rows of tokens in batches.py, the figures in measure.py.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from tokenizers import Tokenizer
from torch import Tensor
from transformers import GPT2LMHeadModel

from story_gpt2.batches import IGNORED, BatchOptions, batches
from story_gpt2.tokenizer import train_tokenizer
from story_gpt2.weights_folder import WEIGHTS_FOLDER, demo_config, write_model


@dataclass(frozen=True)
class TrainingOptions:
    """One training run; the defaults are those of the shipped weights."""

    steps: int = 4344
    minutes: float = 0.0
    """A wall-clock budget: the schedule then follows the clock, and ``steps`` is not used."""
    seed: int = 20
    rows: int = 16
    muon_rate: float = 4e-3
    adam_rate: float = 4e-3
    weight_decay: float = 0.01
    warm_up: int = 100
    decay_from: float = 0.3
    """The fraction of the run after which the learning rate falls linearly to zero."""
    threads: int = 1
    compiled: bool = True
    checkpoint_minutes: float = 3.0


def rate_factor(progress: float, step: int, options: TrainingOptions) -> float:
    """The learning rate as a fraction of its peak: warm-up, flat, linear to zero."""
    warm = min(1.0, (step + 1) / options.warm_up)
    rest = min(1.0, max(0.0, 1 - progress) / (1 - options.decay_from))
    return warm * rest


def _optimizers(model: GPT2LMHeadModel, options: TrainingOptions) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside the blocks, AdamW for embeddings, norms and biases."""
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and ".h." in n]
    others = [p for n, p in model.named_parameters() if not (p.ndim == 2 and ".h." in n)]
    return [
        torch.optim.Muon(
            matrices,
            lr=options.muon_rate,
            weight_decay=options.weight_decay,
            adjust_lr_fn="match_rms_adamw",
        ),
        torch.optim.AdamW(others, lr=options.adam_rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def train(
    options: TrainingOptions,
    folder: Path,
    checkpoints: Path | None = None,
    tokenizer: Tokenizer | None = None,
) -> dict[str, object]:
    """Train a model, and a tokenizer unless one is given, write both, and return what was done.

    The result is the same each time for the same options, machine kind and PyTorch, unless
    ``minutes`` makes it follow the clock.
    """
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    tokenizer = tokenizer or train_tokenizer(options.seed)
    model = GPT2LMHeadModel(demo_config(tokenizer.get_vocab_size())).train()
    # Compiled, plain attention is faster than the fused kernel, whose backward is slow on CPUs.
    model.set_attn_implementation("eager")
    print(f"{model.num_parameters():,} parameters", flush=True)

    def loss_of(ids: Tensor, labels: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            logits = model(input_ids=ids, use_cache=False).logits
        return F.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), ignore_index=IGNORED)

    compute: Callable[[Tensor, Tensor], Tensor] = loss_of
    if options.compiled:
        compute = torch.compile(loss_of)
    optimizers = _optimizers(model, options)
    peaks = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
    source = batches(tokenizer, BatchOptions(rows=options.rows, seed=options.seed))
    first = next(source)
    torch.autograd.backward(compute(first.ids, first.labels))  # compiles, outside the budget
    begun = saved = time.monotonic()
    step = tokens = 0
    smooth = 0.0
    while True:
        elapsed = time.monotonic() - begun
        progress = elapsed / (options.minutes * 60) if options.minutes else step / options.steps
        if progress >= 1:
            break
        batch = next(source)
        for optimizer, peak in zip(optimizers, peaks, strict=True):
            optimizer.param_groups[0]["lr"] = peak * rate_factor(progress, step, options)
            optimizer.zero_grad(set_to_none=True)
        loss = compute(batch.ids, batch.labels)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        step += 1
        tokens += batch.ids.numel()
        smooth = loss.item() if step == 1 else 0.98 * smooth + 0.02 * loss.item()
        if step % 50 == 0:
            rate = tokens / (time.monotonic() - begun)
            print(
                f"step {step} progress {progress:.3f} loss {smooth:.3f} {rate:.0f} tokens/s",
                flush=True,
            )
        if checkpoints and time.monotonic() - saved > options.checkpoint_minutes * 60:
            saved = time.monotonic()
            write_model(model, tokenizer, checkpoints)
    done: dict[str, object] = {
        "steps": step,
        "tokens": tokens,
        "minutes": round((time.monotonic() - begun) / 60, 1),
        "final_training_loss": round(smooth, 4),
        "torch": torch.__version__,
        "options": asdict(options),
    }
    write_model(model, tokenizer, folder)
    text = json.dumps(done, indent=2) + "\n"
    (folder / "training.json").write_text(text, encoding="utf-8")
    return done


def main(argv: Sequence[str] | None = None) -> int:
    """Parse flags named like the fields of ``TrainingOptions`` and train."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=TrainingOptions.steps)
    parser.add_argument("--minutes", type=float, default=TrainingOptions.minutes)
    parser.add_argument("--seed", type=int, default=TrainingOptions.seed)
    parser.add_argument("--threads", type=int, default=TrainingOptions.threads)
    parser.add_argument("--compiled", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--folder", type=Path, default=WEIGHTS_FOLDER, help="where to write")
    parser.add_argument("--checkpoints", type=Path, help="a folder for a model now and then")
    flags = vars(parser.parse_args(argv))
    folder, checkpoints = flags.pop("folder"), flags.pop("checkpoints")
    print(json.dumps(train(TrainingOptions(**flags), folder, checkpoints), indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
