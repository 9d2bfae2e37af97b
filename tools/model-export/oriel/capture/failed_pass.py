"""Says why a model can't be captured: transformers' own pass, without values, tells a config that
nobody can compute from a defect of the capture."""

from __future__ import annotations

from importlib.metadata import version

import torch
import transformers
from torch import nn

from oriel.capture.captured_model import example_inputs
from oriel.errors import ArchitectureError, reason_of
from oriel.models.model_spec import ModelSpec, with_layers

_LAYERS = 2


def few_layers(spec: ModelSpec) -> ModelSpec:
    """Return the spec of the first layers, where they are like all others."""
    alike = spec.architecture.repeatable(spec.config)
    return with_layers(spec, min(_LAYERS, spec.shape.layers)) if alike else spec


def asks_for_a_value(error: Exception) -> bool:
    """Return whether a pass without values ended for want of one: that says nothing of the
    model."""
    return isinstance(error, NotImplementedError) or "meta" in str(error).lower()


def failed_pass(spec: ModelSpec, error: Exception) -> ArchitectureError:
    """Return the error to show for an exception that capturing or tracing a model ended in."""
    own = _stock_error(spec)
    known = own is None or not asks_for_a_value(own)
    if own is not None and known:
        return ArchitectureError(
            "config.json describes a model that can't be computed",
            got=f"{type(own).__name__} in transformers' own pass: {_reason(own)}",
            expected="sizes that fit each other: hidden_size, heads, key heads, head_dim",
            next_step=f"transformers {version('transformers')} itself fails: correct config.json, "
            "or download the checkpoint again.",
        )
    return ArchitectureError(
        f"Oriel fails to capture this {spec.architecture.model_type}",
        got=f"{type(error).__name__}: {_reason(error)}",
        expected="a pass like that of transformers"
        + (", which computes this config" if known else ""),
        next_step=("this is" if known else "if transformers computes this config, it is")
        + " a defect of Oriel: report it with this line and config.json.",
    )


def _stock_error(spec: ModelSpec) -> Exception | None:
    """Return the exception in which transformers' own pass of the first layers ends without values;
    None where it ends in none."""
    small = few_layers(spec)
    try:
        with torch.no_grad(), torch.device("meta"):
            made = getattr(transformers, small.architecture.model_class)(small.config)
            model: nn.Module = made.eval()
            tokens, *_ = example_inputs(small.shape)
            # Without a mask, since some code looks at its values.
            model(input_ids=tokens)
    except Exception as error:  # noqa: BLE001 - an untrusted config may raise any
        return error
    return None


def _reason(error: Exception) -> str:
    return reason_of(error)[:200]
