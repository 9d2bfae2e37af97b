"""A module of flat tensors around a module of nested ones: this is what formats are written from.
The structure lives here, so that files hold no class of the caller's."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence

from torch import Tensor, nn

from oriel.modules.call import run_flat
from oriel.modules.structure import Flattened, Node, tensors_of


def flat_module(
    module: nn.Module, method: str, inputs: Flattened, names: Sequence[str], chosen: FlatOutputs
) -> nn.Module:
    """Return a module whose forward takes tensors under these names and returns a tuple of tensors.

    module: the caller's, which becomes the part `model`; method: of its, which is called.
    """

    def forward(self: nn.Module, *tensors: Tensor) -> tuple[Tensor, ...]:
        taken = [t.clone() for t in tensors] if chosen.clone_inputs else tensors
        return chosen.of(run_flat(getattr(self.model, method), inputs, taken))

    # Exporters take the names of inputs from the signature.
    keyword = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter(name, keyword) for name in ("self", *names)]
    typed: Callable[..., object] = forward
    typed.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    made: nn.Module = type("FlatModule", (nn.Module,), {"forward": forward})()
    made.add_module("model", module)
    return made.eval()


class FlatOutputs:
    """The chosen tensors of a module's output, in order."""

    def __init__(self, node: Node, picks: Sequence[int], clone_inputs: bool) -> None:
        self.node = node
        self.picks = tuple(picks)
        """Positions among all tensors of the output."""
        self.clone_inputs = clone_inputs

    def of(self, value: object, check_constants: bool = False) -> tuple[Tensor, ...]:
        """Return the chosen tensors of an output. check_constants: whether other parts must be
        what they were in the example; a tracer's stand-ins for sizes never are."""
        every = tensors_of(self.node, value, "the output", check_constants)
        return tuple(every[at] for at in self.picks)
