"""A module in the place of transformers' own: the same parameters under the same names, and the
same numbers by operations that can be captured."""

from __future__ import annotations

from torch import Tensor, nn


class ReplacedModule(nn.Module):
    """Takes over the parts of a module; a subclass says what is computed with them."""

    def __init__(self, own: nn.Module) -> None:
        super().__init__()
        for name, part in own.named_children():
            self.add_module(name, part)

    def by(self, part: str, states: Tensor) -> Tensor:
        """Return what a part makes of the states."""
        made: Tensor = self.get_submodule(part)(states)
        return made
