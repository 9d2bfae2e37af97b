"""A soft cap of the logits: c tanh(logit / c)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedConfig


def cap_logits(config: PreTrainedConfig, logits: Tensor) -> Tensor:
    """Return the logits under the config's final_logit_softcapping, if it has one."""
    cap = config.final_logit_softcapping
    return logits if cap is None else torch.tanh(logits / cap) * cap
