"""Train on generated features; Lightning itself writes the checkpoints.

python scripts/train.py [--epochs 20] [--output checkpoints]
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from pathlib import Path

EXAMPLE = Path(__file__).resolve().parents[1]
LIGHTNING = EXAMPLE.parents[1] / ".setup" / "lightning"
sys.path[:0] = [str(EXAMPLE), str(LIGHTNING)]

from cyclegan.data import FEATURES, domain, statistics_of  # noqa: E402 - the path comes first

TIME, TRAIN, VALIDATE = 32, 128, 32


def main() -> int:
    """Train, and leave last.ckpt, the best checkpoint and the statistics."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--output", type=Path, default=EXAMPLE / "checkpoints")
    arguments = parser.parse_args()
    try:
        import pytorch_lightning as pl
    except ImportError as error:
        print(f"error: {error}. Run make examples-setup first.", file=sys.stderr)
        return 2
    import numpy as np
    import torch
    from pytorch_lightning.callbacks import ModelCheckpoint

    from cyclegan.training import CycleGanTraining, loader

    pl.seed_everything(0)
    # Networks of this size lose more to a second thread than they gain.
    torch.set_num_threads(1)
    started = time.monotonic()
    raw = {name: domain(name, TRAIN, TIME, ord(name)) for name in ("A", "B")}
    statistics = statistics_of(raw)
    shutil.rmtree(arguments.output, ignore_errors=True)
    arguments.output.mkdir(parents=True)
    text = json.dumps(statistics, indent=2)
    (arguments.output / "normalization_params.json").write_text(text, encoding="utf-8")

    def normalised(name: str, count: int, seed: int) -> torch.Tensor:
        mean, std = (torch.tensor(statistics[name][kind]) for kind in ("mean", "std"))
        features = raw[name] if count == TRAIN else domain(name, count, TIME, seed)
        return (features - mean) / std

    keep = ModelCheckpoint(
        dirpath=arguments.output,
        filename="{epoch}-{val/cycle:.3f}",
        monitor="val/cycle",
        save_last=True,
    )
    trainer = pl.Trainer(
        max_epochs=arguments.epochs,
        accelerator="cpu",
        callbacks=[keep],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=arguments.output,
    )
    training = CycleGanTraining(FEATURES, 64, 8, np.float64(1e-3), Path("data") / "features")
    batches = loader(normalised("A", VALIDATE, 7), normalised("B", VALIDATE, 8), 16, False)
    before = trainer.validate(training, batches, verbose=False)[0]["val/cycle"]
    windows = loader(normalised("A", TRAIN, 0), normalised("B", TRAIN, 0), 16, True)
    trainer.fit(training, windows, batches)
    after = trainer.validate(training, batches, verbose=False)[0]["val/cycle"]
    print(
        f"val/cycle {before:.3f} before, {after:.3f} after {arguments.epochs} epochs, "
        f"{time.monotonic() - started:.0f} s"
    )
    print(f"best: {keep.best_model_path}")
    print(f"last: {keep.last_model_path}")
    return 0 if after < before / 2 else 1


if __name__ == "__main__":
    sys.exit(main())
