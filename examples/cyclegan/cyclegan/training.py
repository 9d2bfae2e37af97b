"""The training, as a Lightning module: least-squares GAN losses and the cycle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.nn.functional import l1_loss, mse_loss
from torch.utils.data import DataLoader, TensorDataset

from cyclegan.networks import CycleGan, Discriminator

_CYCLE = 10.0
"""Weight of the cycle beside the discriminators' opinion."""


class CycleGanTraining(pl.LightningModule):  # type: ignore[misc]  # untyped without Lightning
    """Trains a CycleGan on normalised windows of both domains."""

    def __init__(
        self, input_dim: int, hidden_dim: int, n_blocks: int, rate: np.float64, root: Path
    ) -> None:
        super().__init__()
        # Real hyper-parameters are objects: torch's safe reader refuses the checkpoint for them.
        # The networks' sizes aren't among them, as in many a checkpoint: oriel split finds them.
        self.save_hyperparameters("rate", "root")
        self.automatic_optimization = False
        self.model = CycleGan(input_dim, hidden_dim, n_blocks)

    def training_step(self, batch: list[Tensor], index: int) -> None:
        """Take one step of the generators, then one of the discriminators."""
        real_a, real_b = batch
        generators, discriminators = self.optimizers()
        model = self.model
        fake_b, fake_a = model.generator_A_to_B(real_a), model.generator_B_to_A(real_b)
        cycle = l1_loss(model.generator_B_to_A(fake_b), real_a)
        cycle = cycle + l1_loss(model.generator_A_to_B(fake_a), real_b)
        fooled = _towards(model.discriminator_B, fake_b, 1) + _towards(
            model.discriminator_A, fake_a, 1
        )
        self._step(generators, fooled + _CYCLE * cycle)
        told = torch.stack(
            [
                _towards(model.discriminator_A, real_a, 1),
                _towards(model.discriminator_A, fake_a.detach(), 0),
                _towards(model.discriminator_B, real_b, 1),
                _towards(model.discriminator_B, fake_b.detach(), 0),
            ]
        ).sum()
        self._step(discriminators, told)

    def validation_step(self, batch: list[Tensor], index: int) -> None:
        """Log how far the cycle is from the identity, in deviations of the features."""
        real_a, real_b = batch
        model = self.model
        back_a = model.generator_B_to_A(model.generator_A_to_B(real_a))
        back_b = model.generator_A_to_B(model.generator_B_to_A(real_b))
        # The slash makes a folder where the metric stands in a checkpoint's name.
        self.log("val/cycle", (l1_loss(back_a, real_a) + l1_loss(back_b, real_b)) / 2)

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """Return one optimizer for the generators and one for the discriminators."""
        model, rate = self.model, float(self.hparams["rate"])
        pairs = (
            (model.generator_A_to_B, model.generator_B_to_A),
            (model.discriminator_A, model.discriminator_B),
        )
        return [
            torch.optim.Adam([p for net in pair for p in net.parameters()], rate, (0.5, 0.999))
            for pair in pairs
        ]

    def _step(self, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        optimizer.zero_grad()
        self.manual_backward(loss)
        optimizer.step()


def _towards(discriminator: Discriminator, features: Tensor, target: float) -> Tensor:
    scores = discriminator(features)
    return mse_loss(scores, torch.full_like(scores, target))


def loader(a: Tensor, b: Tensor, batch: int, shuffle: bool) -> DataLoader[Any]:
    """Return batches of windows of both domains, which have nothing to do with each other."""
    return DataLoader(TensorDataset(a, b), batch_size=batch, shuffle=shuffle)
