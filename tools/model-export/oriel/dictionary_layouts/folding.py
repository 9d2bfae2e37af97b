"""The arithmetic that puts a dictionary of another library into the tensors of the contract, where
that changes none of its features and nothing that they rebuild. Sums run in float64 and are rounded
once; a product with one number is rounded once."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from oriel.arrays import Array

_COLUMNS_AT_ONCE = 2048


@dataclass(frozen=True)
class Parts:
    """Tensors of a dictionary, float32."""

    encoder_weight: Array
    """(width_in, features)"""
    encoder_bias: Array
    """(features)"""
    decoder_weight: Array
    """(features, width_out)"""
    decoder_bias: Array
    """(width_out)"""
    threshold: Array | None = None
    """(features)"""

    def arrays(self) -> dict[str, Array]:
        """Return {name: tensor} of those that there are. A threshold below 0 becomes 0: a feature
        below its threshold is 0, and so is one below 0."""
        found = {name: values for name, values in vars(self).items() if values is not None}
        if "threshold" in found:
            found["threshold"] = np.maximum(found["threshold"], np.float32(0))
        return {name: np.ascontiguousarray(values) for name, values in found.items()}


def subtract_from_input(parts: Parts, subtracted: Array) -> Parts:
    """Take a vector (width_in) away from the input: (x - v) W + b = x W + (b - v W)."""
    moved = parts.encoder_bias - _product(subtracted, parts.encoder_weight)
    return replace(parts, encoder_bias=moved.astype(np.float32))


def take_mean_away(parts: Parts) -> Parts:
    """Take each input's mean away: with m the mean of x, (x - m) W = x (W - the mean of W's
    rows)."""
    mean = parts.encoder_weight.mean(axis=0, dtype=np.float64)
    return replace(parts, encoder_weight=(parts.encoder_weight - mean).astype(np.float32))


def scale_input(parts: Parts, factor: float) -> Parts:
    """Multiply the input with a factor and divide what is rebuilt by it."""
    return replace(
        parts,
        encoder_weight=_times(parts.encoder_weight, factor),
        decoder_weight=_times(parts.decoder_weight, 1 / factor),
        decoder_bias=_times(parts.decoder_bias, 1 / factor),
    )


def scale_decoder(parts: Parts, factors: Array) -> Parts:
    """Multiply each feature's decoder row with its factor (features)."""
    return replace(parts, decoder_weight=parts.decoder_weight * factors[:, None])


def scale_by_decoder(parts: Parts) -> Parts:
    """Multiply each feature with the length of its decoder row, and make that row as long as 1. A
    row of zeros makes the feature 0."""
    lengths = np.sqrt(np.square(parts.decoder_weight, dtype=np.float64).sum(axis=1))
    rows = parts.decoder_weight / np.where(lengths > 0, lengths, 1)[:, None]
    return replace(
        parts,
        encoder_weight=(parts.encoder_weight * lengths).astype(np.float32),
        encoder_bias=(parts.encoder_bias * lengths).astype(np.float32),
        decoder_weight=rows.astype(np.float32),
    )


def ungate(parts: Parts, gate_bias: Array, log_scales: Array) -> Parts:
    """Return a gated dictionary as one of thresholds (Rajamanoharan et al. 2024, "Improving
    Dictionary Learning with Gated Sparse Autoencoders", section 3.2 and appendix).

    A feature is max(e x W + m, 0) where x W + g > 0, with e = exp(log_scales) and m the bias of
    magnitudes, and else 0. The gate is open where e x W + m > m - e g, which is the threshold.

    parts: with the gate's weights and m as its biases. gate_bias, log_scales: (features).
    """
    scales = np.exp(log_scales.astype(np.float64))
    return replace(
        parts,
        encoder_weight=(parts.encoder_weight * scales).astype(np.float32),
        threshold=(parts.encoder_bias - scales * gate_bias).astype(np.float32),
    )


def _product(vector: Array, matrix: Array) -> Array:
    """Return vector (width) @ matrix (width, columns) in float64, some columns at a time: a copy of
    a large matrix in float64 would take twice its memory."""
    wide = vector.astype(np.float64)
    made = np.empty(matrix.shape[1], dtype=np.float64)
    for start in range(0, matrix.shape[1], _COLUMNS_AT_ONCE):
        columns = slice(start, start + _COLUMNS_AT_ONCE)
        made[columns] = wide @ matrix[:, columns].astype(np.float64)
    return made


def _times(values: Array, factor: float) -> Array:
    return (values * np.float64(factor)).astype(np.float32)
