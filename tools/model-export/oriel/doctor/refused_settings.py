"""All settings of a config that an architecture refuses. A check raises for the first one alone:
the entry of the config behind it is found and set to its default, and the check is asked again."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from oriel.errors import ArchitectureError

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

_MAX_REFUSALS = 16


def refused_settings(
    config: PreTrainedConfig, check: Callable[[PreTrainedConfig], object]
) -> list[ArchitectureError]:
    """Return the errors that `check` raises, one for each entry of the config that it refuses. The
    config stays as it is."""
    config = copy.deepcopy(config)
    defaults = type(config)().to_dict()
    refused: list[ArchitectureError] = []
    while len(refused) < _MAX_REFUSALS:
        error = _error(config, check)
        if error is None:
            break
        changed = _without_cause(config, check, _setting(error), defaults)
        if changed is not None or not refused:
            # A later one that no entry is behind may come of a default that was set here.
            refused.append(error)
        if changed is None:
            break
        config = changed
    return refused


def _error(
    config: PreTrainedConfig, check: Callable[[PreTrainedConfig], object]
) -> ArchitectureError | None:
    try:
        check(config)
    except ArchitectureError as error:
        return error
    return None


def _setting(error: ArchitectureError) -> tuple[str, str]:
    """Return the problem and the setting that an error names, whatever value it got."""
    return error.what, (error.got or "").partition(":")[0]


def _without_cause(
    config: PreTrainedConfig,
    check: Callable[[PreTrainedConfig], object],
    refused: tuple[str, str],
    defaults: Mapping[str, object],
) -> PreTrainedConfig | None:
    """Return the config with the entry behind an error set to its default; None where no entry
    alone is behind it."""
    for name, value in config.to_dict().items():
        if name not in defaults or defaults[name] == value:
            continue
        tried = copy.deepcopy(config)
        try:
            setattr(tried, name, copy.deepcopy(defaults[name]))
            error = _error(tried, check)
        except Exception:  # noqa: BLE001 - a config that no longer fits itself may raise any
            continue
        if error is None or _setting(error) != refused:
            return tried
    return None
