"""ALiBi's slopes and positions are transformers' own, for every number of heads and any padding."""

from __future__ import annotations

import pytest
import torch
from transformers import FalconConfig
from transformers.models.bloom import modeling_bloom
from transformers.models.falcon import modeling_falcon

from oriel.models.architectures import falcon
from oriel.models.architectures.alibi import alibi, alibi_slopes


def masks() -> tuple[torch.Tensor, torch.Tensor]:
    """Padding (4, 300) on the left, on the right, on both sides and nowhere; and the same joined
    to a causal mask, (4, 1, 2, 300), whose last row is the last token's."""
    padding = torch.ones(4, 300, dtype=torch.int64)
    padding[0, :5] = padding[1, -7:] = padding[2, :3] = padding[2, -2:] = 0
    causal = torch.ones(2, 300, dtype=torch.bool).tril(298)
    return padding, causal[None, None] & padding[:, None, None].bool()


@pytest.mark.parametrize("heads", [*range(1, 18), 32, 71, 112, 128])
def test_bloom_adds_what_transformers_adds(heads: int) -> None:
    padding, mask = masks()
    own = modeling_bloom.build_alibi_tensor(padding, heads, torch.float32)
    got = alibi(mask, alibi_slopes(heads))
    torch.testing.assert_close(got, own.reshape(4, heads, 1, 300), rtol=1e-6, atol=0)


@pytest.mark.parametrize("heads", [*range(1, 18), 32, 71, 112, 128])
def test_falcon_adds_what_transformers_adds_rounded_as_there(heads: int) -> None:
    padding, mask = masks()
    own = modeling_falcon.build_alibi_tensor(padding, heads, torch.float32)
    config = FalconConfig(hidden_size=4 * heads, num_attention_heads=heads, alibi=True)
    # A head of 4 is scaled by a half, which rounds nothing.
    assert torch.equal(falcon._alibi(config, mask), own.reshape(4, heads, 1, 300) / 2)
