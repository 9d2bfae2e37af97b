"""The tensors of a dictionary while it is trained, on activations scaled to mean 0 and size 1, and
the same dictionary in the activations' own units."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from oriel.errors import OptionError


@dataclass(frozen=True)
class Trained:
    """A dictionary in the activations' own units, float32: a feature is max(x @ encoder_weight +
    encoder_bias, 0) where that is greater than its threshold, else 0; rebuilt is features @
    decoder_weight + decoder_bias."""

    encoder_weight: Tensor
    """(width_in, features)"""
    encoder_bias: Tensor
    """(features)"""
    threshold: Tensor
    """(features), all equal."""
    decoder_weight: Tensor
    """(features, width_out), rows of norm 1."""
    decoder_bias: Tensor
    """(width_out)"""


@dataclass(frozen=True)
class Scaling:
    """Mean (width) and size of activations. Scaled by them, all activations can be trained with one
    learning rate."""

    mean: Tensor
    size: float
    """Root mean square of the differences from the mean."""

    @staticmethod
    def of(values: Tensor) -> Scaling:
        """Measure activations (tokens, width). Raises OptionError where they are all the same or
        not finite."""
        mean = values.double().mean(0).float()
        size = float((values - mean).double().square().mean().sqrt())
        if not 0 < size < float("inf"):
            raise OptionError(
                "there is nothing to train a dictionary on",
                got="activations that are not finite" if size != 0 else "equal activations",
                expected="activations that differ from token to token",
                next_step="choose another activation with --reads.",
            )
        return Scaling(mean, size)

    def apply(self, values: Tensor) -> Tensor:
        return (values - self.mean) / self.size


@dataclass(frozen=True)
class Parts:
    """The tensors that are trained, in scaled units."""

    encoder: Tensor
    """(width_in, features)"""
    encoder_bias: Tensor
    """(features)"""
    decoder: Tensor
    """(features, width_out), rows of norm 1."""
    decoder_bias: Tensor
    """(width_out)"""

    @staticmethod
    def initial(width_in: int, width_out: int, features: int, draw: torch.Generator) -> Parts:
        """Return random directions for the decoder's rows, which the encoder reads too where both
        widths are the same. The biases are 0, which is the mean of scaled activations."""
        decoder = _unit(torch.randn(features, width_out, generator=draw))
        encoder = decoder
        if width_in != width_out:
            encoder = _unit(torch.randn(features, width_in, generator=draw))
        return Parts(
            encoder.T.clone(memory_format=torch.contiguous_format).requires_grad_(),
            torch.zeros(features, requires_grad=True),
            decoder.clone().requires_grad_(),
            torch.zeros(width_out, requires_grad=True),
        )

    @property
    def tensors(self) -> list[Tensor]:
        return [self.encoder, self.encoder_bias, self.decoder, self.decoder_bias]

    def encoded(self, given: Tensor) -> Tensor:
        """Return values >= 0 (tokens, features), before all but the greatest are set to 0."""
        return (given @ self.encoder + self.encoder_bias).relu()

    def decoded(self, features: Tensor) -> Tensor:
        return features @ self.decoder + self.decoder_bias

    def keep_norms_in_gradient(self) -> None:
        """Remove from the decoder's gradient what would only change its rows' norms."""
        gradient = self.decoder.grad
        assert gradient is not None
        with torch.no_grad():
            gradient -= (gradient * self.decoder).sum(1, keepdim=True) * self.decoder

    def normalize(self) -> None:
        """Give the decoder's rows norm 1."""
        with torch.no_grad():
            self.decoder.copy_(_unit(self.decoder))

    def unscaled(self, threshold: float, reads: Scaling, writes: Scaling) -> Trained:
        """Return the same dictionary for activations in their own units. Features are then in the
        units of what is written, so that the decoder's rows keep norm 1."""
        with torch.no_grad():
            weight = self.encoder * (writes.size / reads.size)
            return Trained(
                weight,
                self.encoder_bias * writes.size - reads.mean @ weight,
                torch.full_like(self.encoder_bias, threshold * writes.size),
                self.decoder.clone(),
                self.decoder_bias * writes.size + writes.mean,
            )


def _unit(rows: Tensor) -> Tensor:
    norms: Tensor = rows.norm(dim=1, keepdim=True)
    return rows / norms.clamp_min(1e-12)
