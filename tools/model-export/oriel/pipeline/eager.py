"""The module itself, opened as a file is: the row that all others are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from oriel.modules.convert import NOTHING_WRITTEN, export_request
from oriel.modules.named_model import one_spec
from oriel.modules.prepared_module import prepare

if TYPE_CHECKING:
    from torch import Tensor

    from oriel.formats.format import Runner


def open_eager(place: str) -> Runner:
    """Build the module and return what runs it on flat inputs."""
    call = prepare(export_request(one_spec(place), None, NOTHING_WRITTEN)).call

    def run(inputs: Sequence[Tensor]) -> Sequence[Tensor]:
        found: Sequence[Tensor] = call.module(*inputs)
        return found

    return run
