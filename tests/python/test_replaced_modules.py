"""Modules that the exporter puts in the place of transformers' own compute the same: for each
architecture that has them, on random states, padded on the left, with a cache and without."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from architecture_variants import VARIANTS
from torch import Tensor, nn
from transformers import DynamicCache, PreTrainedModel

from oriel.capture import attention
from oriel.capture.capture_state import CaptureState
from oriel.capture.captured_model import replace_modules
from oriel.models.architectures import REGISTRY

NAMES = [
    name
    for name, variant in VARIANTS.items()
    if REGISTRY[variant.config().model_type].through_interface is not None
    or REGISTRY[variant.config().model_type].own_block is not None
]
Seen = list[tuple[Tensor, Tensor]]


def made(name: str) -> PreTrainedModel:
    torch.manual_seed(3)
    model = VARIANTS[name]()
    model.eval()  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.25)
    model.config._attn_implementation = "eager"
    mend = REGISTRY[model.config.model_type].mend_eager
    if mend is not None:
        mend(model)
    return model


def replaced(model: PreTrainedModel) -> PreTrainedModel:
    """The model with its modules replaced."""
    a = REGISTRY[model.config.model_type]
    attention.register()
    replace_modules(model, a)
    for layer, block in enumerate(model.get_submodule(a.blocks).children()):
        caller = block.get_submodule(a.attention_caller)
        caller.oriel_state, caller.oriel_layer = CaptureState(), layer  # type: ignore[assignment]
    return model


@contextmanager
def seen(model: PreTrainedModel) -> Iterator[Seen]:
    """What the attention of each layer gives: its output and its probabilities."""
    found: Seen = []

    def keep(_module: nn.Module, _inputs: Any, output: tuple[Tensor, ...]) -> None:
        found.append((output[0], output[1]))

    a = REGISTRY[model.config.model_type]
    blocks = model.get_submodule(a.blocks).children()
    handles = [b.get_submodule(a.attention_caller).register_forward_hook(keep) for b in blocks]
    with torch.no_grad():
        yield found
    for handle in handles:
        handle.remove()


def run(model: PreTrainedModel, parts: list[int]) -> Seen:
    """Feed a batch of three, one of them padded on the left, in parts of these lengths."""
    ids = torch.randint(model.config.vocab_size, (3, sum(parts)), generator=torch.manual_seed(4))
    mask = torch.ones_like(ids)
    mask[1, :2] = 0
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    cache, start = DynamicCache(), 0
    with seen(model) as found:
        for count in parts:
            fed = slice(start, start + count)
            start += count
            model(
                ids[:, fed],
                attention_mask=mask[:, :start],
                position_ids=positions[:, fed],
                past_key_values=cache,
                use_cache=True,
            )
    return found


@pytest.mark.parametrize("parts", [[9], [5, 1, 3]], ids=["uncached", "cached"])
@pytest.mark.parametrize("name", NAMES)
def test_a_replaced_module_computes_what_transformers_own_does(name: str, parts: list[int]) -> None:
    model = made(name)
    want = run(model, parts)
    got = run(replaced(model), parts)
    assert len(got) == len(want) == len(parts) * model.config.num_hidden_layers
    for (output, probs), (own_output, own_probs) in zip(got, want, strict=True):
        # Rows of padding see nothing: what they give is nobody's.
        real = slice(2, None) if output.shape[1] > 2 and probs.shape[-1] == output.shape[1] else ...
        torch.testing.assert_close(output[:, real], own_output[:, real], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(probs[:, :, real], own_probs[:, :, real], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_replaced_module_has_the_parameters_of_transformers_own(name: str) -> None:
    model = made(name)
    own = dict(model.named_parameters())
    parameters = dict(replaced(model).named_parameters())
    assert parameters.keys() == own.keys()
    assert all(parameters[name] is own[name] for name in own)


@pytest.mark.parametrize("name", [name for name in NAMES if "alibi" in name])
def test_mended_eager_attention_computes_what_transformers_default_does(name: str) -> None:
    ids = torch.randint(61, (2, 9), generator=torch.manual_seed(4))
    model = made(name)
    with torch.no_grad():
        mended = model(ids).logits
        default = type(model)(model.config)
        default.eval()  # type: ignore[no-untyped-call]
        default.load_state_dict(model.state_dict())
        default.config._attn_implementation = "sdpa"
        torch.testing.assert_close(mended, default(ids).logits, rtol=1e-5, atol=1e-5)
        # Without the correction ALiBi counts twice; once that fails, transformers has mended it.
        default.config._attn_implementation = "eager"
        assert (default(ids).logits - mended).abs().max() > 1e-3
