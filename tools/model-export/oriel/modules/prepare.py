"""A module made ready for export, in this order: lazily built parts are built, trained tensors are
loaded, everything is put into eval mode and onto the CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from oriel.errors import ModuleError, OrielError, first_few, reason_of
from oriel.modules.call import cloned, run_flat
from oriel.modules.export_request import LoadedCheckpoint
from oriel.modules.structure import Flattened


def build_and_load(
    module: nn.Module,
    function: Callable[..., object],
    example: Flattened,
    load: Callable[[nn.Module], LoadedCheckpoint] | None,
) -> LoadedCheckpoint | None:
    """Run the module once, which builds its lazy parts; load trained tensors, which now find every
    part; and only then put all parts into eval mode, since those just built are not."""
    module.to("cpu").eval()
    run_on(function, example, cloned(example.tensors), "the example")
    loaded = None if load is None else load(module)
    lazy = (UninitializedParameter, UninitializedBuffer)
    held = module.state_dict(keep_vars=True).items()
    unbuilt = [name for name, tensor in held if isinstance(tensor, lazy)]
    if unbuilt:
        raise ModuleError(
            "parts of the module were never built",
            got=first_few(unbuilt),
            expected="parameters with values",
            next_step="call what builds them in the spec's `build`, or drop them.",
        )
    module.eval().to("cpu")
    return loaded


def run_on(
    function: Callable[..., object], example: Flattened, tensors: Sequence[Tensor], what: str
) -> object:
    """Call the module's function on tensors, which it may change. Raises ModuleError for whatever
    it raises. what: 'the example' or another name of the inputs, for the message."""
    try:
        with torch.no_grad():
            return run_flat(function, example, tensors)
    except OrielError:
        raise
    except Exception as error:
        # Whatever the caller's code raises is told in one line.
        raise ModuleError(
            f"the module fails on {what}",
            got=f"{type(error).__name__}: {reason_of(error)}",
            next_step="call it with the same inputs in Python first"
            + ("." if what == "the example" else "; the spec's `second` gives others."),
        ) from error
