"""The training: windows corrupted on purpose are to be reconstructed as they were, so that the
correction, which is the score, is large where something is wrong. A second phase, fed with the
first one's error through a reversed gradient, works against it ever more."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from itacad.model.detector import Config, Detector
from itacad.signals import KINDS, TRAINED_ON, auroc, normal_windows, with_anomaly
from oriel.bundle.atomic_folder import unwritable

CHECKPOINT = "detector.pt"
_WINDOWS, _BATCH, _HELD_OUT = 512, 32, 256


def train(config: Config, out: Path, epochs: int) -> dict[str, float]:
    """Train a detector, save it as out/detector.pt, and return its report on held-out signals: the
    AUROC over all kinds of anomalies and for each."""
    try:
        # Before the training, not after.
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(out, error, movable=False) from error
    torch.manual_seed(0)
    # Networks of this size lose more to a second thread than they gain.
    torch.set_num_threads(1)
    model = Detector(config)
    clean = normal_windows(_WINDOWS, config.L, config.D, seed=1)
    model.train()
    model(clean[:2])  # builds the second phase, whose parameters the optimizer takes too
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3)
    for epoch in range(epochs):
        against = 0.1 * epoch / max(1, epochs - 1)
        order = torch.randperm(len(clean))
        for at in range(0, len(clean), _BATCH):
            whole = clean[order[at : at + _BATCH]]
            found = model(corrupted(whole, seed=epoch * _WINDOWS + at), against)
            loss = mse_loss(found["O1"], whole) + 0.1 * mse_loss(found["O2"], whole)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    report = measure(model.eval(), config)
    content = {
        "config": asdict(replace(config, phase2=True)),
        "state_dict": model.state_dict(),
        "report": report,
    }
    torch.save(content, out / CHECKPOINT)
    return report


def corrupted(windows: Tensor, seed: int) -> Tensor:
    """Return the windows, three of four with an anomaly."""
    quarter = len(windows) // 4
    parts = [
        with_anomaly(windows[at * quarter : (at + 1) * quarter], kind, seed)
        for at, kind in enumerate(TRAINED_ON)
    ]
    return torch.cat((*parts, windows[len(TRAINED_ON) * quarter :]))


def measure(model: Detector, config: Config) -> dict[str, float]:
    """Return the AUROC of a detector's score on signals that training never saw."""

    def scores(windows: Tensor) -> Tensor:
        with torch.no_grad():
            out: Tensor = model(windows)["score"]
        return out

    normal = scores(normal_windows(_HELD_OUT, config.L, config.D, seed=10_001))
    others = normal_windows(_HELD_OUT, config.L, config.D, seed=10_002)
    anomalous = {
        kind: scores(with_anomaly(others, kind, 20_000 + at)) for at, kind in enumerate(KINDS)
    }
    return {
        "auroc": auroc(normal, torch.cat(list(anomalous.values()))),
        **{f"auroc_{kind}": auroc(normal, found) for kind, found in anomalous.items()},
    }
