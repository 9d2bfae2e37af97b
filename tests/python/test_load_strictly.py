"""Every tensor of a checkpoint reaches its place in a module, or the load is refused by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from checkpoint_files import checked_line
from torch import Tensor, nn
from training_checkpoints import fill

from oriel.checkpoints.load_strictly import load_strictly
from oriel.errors import CheckpointError

State = dict[str, Tensor]


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def state(seed: int = 1) -> State:
    return {name: value.clone() for name, value in fill(network(), seed).state_dict().items()}


def same(module: nn.Module, tensors: Mapping[str, Tensor]) -> bool:
    now = module.state_dict()
    return now.keys() == tensors.keys() and all(torch.equal(now[n], tensors[n]) for n in now)


@pytest.mark.parametrize("prefix", ["", "gen.inner."])
def test_all_tensors_and_buffers_arrive(prefix: str) -> None:
    module, tensors = network(), state()
    tensors["1.num_batches_tracked"] = torch.tensor(7)
    others = {"disc.0.weight": torch.ones(1)} if prefix else {}
    load_strictly(module, {prefix + n: t for n, t in tensors.items()} | others, prefix)
    assert same(module, tensors)


def test_fewer_digits_fit_into_more() -> None:
    module = network()
    load_strictly(
        module, {n: t.half() if t.dtype.is_floating_point else t for n, t in state().items()}
    )
    assert torch.equal(module.state_dict()["0.weight"], state()["0.weight"].half().float())


def without(name: str) -> Callable[[State], object]:
    return lambda tensors: tensors.pop(name)


def with_entry(name: str, tensor: Tensor) -> Callable[[State], object]:
    return lambda tensors: tensors.update({name: tensor})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without("2.bias"), "no 2.bias"),
        (without("1.running_mean"), "no 1.running_mean"),
        (with_entry("3.weight", torch.ones(1)), "3.weight, which the module lacks"),
        (with_entry("0.bias", torch.ones(1)), "0.bias has another shape"),
        (with_entry("0.bias", torch.ones(4).double()), "0.bias would lose digits"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_changes(
    change: Callable[[State], object], said: str
) -> None:
    module, tensors = network(), state()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    change(tensors)
    assert said in refusal(module, tensors)
    assert same(module, before)


def refusal(module: nn.Module, tensors: State, prefix: str = "") -> str:
    with pytest.raises(CheckpointError) as caught:
        load_strictly(module, tensors, prefix)
    return checked_line(str(caught.value))


def test_a_prefix_of_nothing_is_refused() -> None:
    assert "no tensor's name begins with 'gen.'" in refusal(network(), state(), "gen.")


def test_lazy_parts_are_built_first() -> None:
    module = nn.Sequential(nn.LazyLinear(4), nn.Linear(4, 2))
    tensors = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)).state_dict()
    assert "isn't built yet; got 0.weight, 0.bias without a shape" in refusal(module, tensors)
    module(torch.ones(1, 3))
    load_strictly(module, tensors)
    assert same(module, tensors)


class BuiltOnCall(nn.Module):
    """A module whose second part exists from its first call on."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.second: nn.Linear | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Return (batch, 2)."""
        if self.second is None:
            self.second = nn.Linear(3, 2)
        out: Tensor = self.second(self.first(x))
        return out


def test_trained_tensors_of_parts_not_built_yet_are_not_dropped() -> None:
    trained = BuiltOnCall()
    trained(torch.ones(1, 3))
    assert "second.bias, second.weight, which the module lacks" in refusal(
        BuiltOnCall(), trained.state_dict()
    )


class Tied(nn.Module):
    """Two names for one parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(5, 3)
        self.head = nn.Linear(3, 5, bias=False)
        self.head.weight = self.table.weight


def test_a_tied_tensor_may_stand_once() -> None:
    module = Tied()
    load_strictly(module, {"table.weight": torch.full((5, 3), 2.0)})
    assert torch.equal(module.head.weight, torch.full((5, 3), 2.0))


def test_two_values_for_one_tensor_are_refused() -> None:
    tensors = {"table.weight": torch.zeros(5, 3), "head.weight": torch.ones(5, 3)}
    assert "are one tensor in Tied; got two different values" in refusal(Tied(), tensors)


class Skips(nn.Linear):
    """A layer that says it loaded its bias and didn't."""

    def _load_from_state_dict(self, tensors: State, prefix: str, *rest: Any) -> None:
        kept = self.bias.detach().clone()
        super()._load_from_state_dict(tensors, prefix, *rest)
        with torch.no_grad():
            self.bias.copy_(kept)


def test_a_tensor_skipped_by_the_module_is_named() -> None:
    tensors = {"weight": torch.ones(2, 3), "bias": torch.full((2,), 9.0)}
    assert "Skips skipped tensors while it loaded them; got bias" in refusal(Skips(3, 2), tensors)


def test_not_a_number_is_a_value_too() -> None:
    module, tensors = network(), state()
    tensors["0.bias"][1] = torch.nan
    load_strictly(module, tensors)
    assert torch.isnan(module.state_dict()["0.bias"]).tolist() == [False, True, False, False]
