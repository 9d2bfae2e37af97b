"""The whole model: both generators, both discriminators, and how features are converted with
them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cyclegan.generator import Generator

Statistics = dict[str, dict[str, list[float]]]
"""{"A": {"mean": […], "std": […]}, "B": …}, one number for each feature."""


class Discriminator(nn.Module):
    """Features (batch, time, input_dim) to a score for each stretch of time, (batch, steps)."""

    def __init__(self, input_dim: int = 40, hidden_dim: int = 64) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(input_dim, hidden_dim, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv1d(hidden_dim, hidden_dim * 2, 4, stride=2, padding=1),
            nn.BatchNorm1d(hidden_dim * 2),
            nn.LeakyReLU(0.2),
            nn.Conv1d(hidden_dim * 2, 1, 4, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, steps)."""
        out: Tensor = self.layers(x.transpose(1, 2))[:, 0]
        return out


class CycleGan(nn.Module):
    """Four networks. Which statistics its data was normalised by is said by use_statistics."""

    def __init__(self, input_dim: int = 40, hidden_dim: int = 64, n_blocks: int = 4) -> None:
        super().__init__()
        self.generator_A_to_B = Generator(input_dim, hidden_dim, n_blocks)
        self.generator_B_to_A = Generator(input_dim, hidden_dim, n_blocks)
        self.discriminator_A = Discriminator(input_dim, hidden_dim)
        self.discriminator_B = Discriminator(input_dim, hidden_dim)
        self._statistics: dict[str, tuple[Tensor, Tensor]] = {}

    def use_statistics(self, statistics: Statistics) -> None:
        """Set the means and deviations of both domains' raw features."""
        self._statistics = {
            domain: (torch.tensor(values["mean"]), torch.tensor(values["std"]))
            for domain, values in statistics.items()
        }

    def convert_A_to_B(self, features: Tensor) -> Tensor:  # noqa: N802 - the domain's name
        """Return raw features of domain B, (batch, time, input_dim), for raw ones of A."""
        return self._convert(features, "A", "B")

    def convert_B_to_A(self, features: Tensor) -> Tensor:  # noqa: N802 - the domain's name
        """Return raw features of domain A, (batch, time, input_dim), for raw ones of B."""
        return self._convert(features, "B", "A")

    def _convert(self, features: Tensor, source: str, target: str) -> Tensor:
        mean, deviation = self._statistics[source]
        generator = self.generator_A_to_B if source == "A" else self.generator_B_to_A
        out: Tensor = generator((features - mean) / deviation)
        mean, deviation = self._statistics[target]
        return out * deviation + mean
