"""The user's own class of a network: loaded from its file, and the settings with which it has
exactly a checkpoint's tensors."""

from __future__ import annotations

import importlib.util
import inspect
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from oriel.checkpoints.load_strictly import load_strictly
from oriel.contract.json_value import JsonObject, JsonValue
from oriel.errors import CheckpointError, OptionError, first_few, reason_of

Source = Literal["checkpoint", "shapes", "default"]


@dataclass(frozen=True)
class NetworkClass:
    """A class in a file of the user's."""

    file: Path
    name: str
    make: Callable[..., nn.Module]


@dataclass(frozen=True)
class NetworkConfig:
    """Keyword arguments that build a network, and where each comes from."""

    arguments: JsonObject
    sources: dict[str, Source]
    """checkpoint: stored there; shapes: follows from the tensors; default: the class's own, and the
    tensors don't contradict it, which proves nothing of a setting that changes no shape."""


def load_class(text: str) -> NetworkClass:
    """Load FILE.py:CLASS, which runs that file. Raises OptionError where there is no such class or
    the file fails."""
    path, _, name = text.rpartition(":")
    file = Path(path)
    if not path or not file.is_file() or file.suffix != ".py":
        raise OptionError(
            "--network names no file", got=text, expected="FILE.py:CLASS, such as net.py:Generator"
        )
    spec = importlib.util.spec_from_file_location(f"oriel_network_{file.stem}", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up while they are made.
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        # The user's file may raise anything.
        raise OptionError(
            f"{file} can't be run",
            got=f"{type(error).__name__}: {reason_of(error)}",
            next_step="it must run by itself: import torch and nothing of its own project.",
        ) from error
    made = getattr(module, name, None)
    if not isinstance(made, type) or not issubclass(made, nn.Module):
        classes = [
            key
            for key, value in vars(module).items()
            if isinstance(value, type) and issubclass(value, nn.Module)
        ]
        raise OptionError(
            f"{file} has no network {name}",
            got=first_few(classes) or "no torch.nn.Module",
            next_step=f"pass --network {file}:CLASS.",
        )
    return NetworkClass(file, name, made)


def find_config(
    network: NetworkClass, tensors: Mapping[str, Tensor], stored: JsonObject
) -> NetworkConfig:
    """Return arguments with which the class has exactly these tensors: those that the checkpoint
    stores, then the class's defaults, then whole numbers and switches that follow from shapes.

    Raises CheckpointError where no arguments fit, with the nearest's first difference.
    """
    search = _Search(network, tensors)
    arguments, sources = _first_guess(network, stored)
    for name, parameter in _parameters(network).items():
        required = name not in arguments and parameter.default is parameter.empty
        if required and parameter.annotation not in (int, "int", parameter.empty):
            raise CheckpointError(
                f"the checkpoint doesn't say {name} of {network.name}",
                expected="a setting stored in it, a default, or a whole number",
                next_step=f"give {name} a default in {network.file.name}.",
            )
    open_names = [
        name
        for name, parameter in _parameters(network).items()
        if name not in arguments and parameter.default is parameter.empty
    ]
    best = search.descend({**arguments, **dict.fromkeys(open_names, 1)}, arguments.keys())
    for name, value in best.items():
        if name not in arguments or arguments[name] != value:
            sources[name] = "shapes"
    config = NetworkConfig(best, {name: sources[name] for name in best})
    build_network(network, config.arguments, tensors)
    return config


def build_network(
    network: NetworkClass, arguments: JsonObject, tensors: Mapping[str, Tensor]
) -> nn.Module:
    """Return the network with these tensors, in eval mode, on the CPU. Raises CheckpointError where
    the class can't be built or they don't fit."""
    try:
        module = network.make(**arguments)
    except Exception as error:
        # The user's class may raise anything.
        raise CheckpointError(
            f"{network.name} can't be built with {arguments}",
            got=f"{type(error).__name__}: {reason_of(error)}",
            next_step="see its arguments.",
        ) from error
    load_strictly(module, tensors)
    return module.eval()


def _parameters(network: NetworkClass) -> dict[str, inspect.Parameter]:
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {
        name: parameter
        for name, parameter in inspect.signature(network.make).parameters.items()
        if parameter.kind in named
    }


def _first_guess(network: NetworkClass, stored: JsonObject) -> tuple[JsonObject, dict[str, Source]]:
    arguments: JsonObject = {}
    sources: dict[str, Source] = {}
    for name, parameter in _parameters(network).items():
        if name in stored:
            arguments[name], sources[name] = stored[name], "checkpoint"
        elif parameter.default is not parameter.empty and _is_json(parameter.default):
            default: JsonValue = parameter.default
            arguments[name], sources[name] = default, "default"
    return arguments, sources


def _is_json(value: object) -> bool:
    """Return whether JSON has a value. An infinite limit or a layer's class as a default has no
    place in the config, and needs none: the class has it by itself."""
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True


_MOST_BUILDS = 3000
_SMALL = range(1, 17)


class _Search:
    """Looks for whole numbers and switches, one argument at a time, that bring the class's tensors
    nearer to the checkpoint's. Networks are built without memory for values."""

    def __init__(self, network: NetworkClass, tensors: Mapping[str, Tensor]) -> None:
        self._network = network
        self._shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        sizes = {size for shape in self._shapes.values() for size in shape}
        self._sizes = sorted({*sizes, *_SMALL})
        self._builds = 0

    def descend(self, start: JsonObject, known: object) -> JsonObject:
        """Return the nearest arguments that were found, starting from these."""
        best, distance = start, self._distance(start)
        while distance:
            near, nearest = best, distance
            for candidate in self._neighbours(best):
                if self._builds >= _MOST_BUILDS:
                    break
                found = self._distance(candidate)
                if found < nearest:
                    near, nearest = candidate, found
            if nearest == distance:
                break
            best, distance = near, nearest
        return best

    def _neighbours(self, arguments: JsonObject) -> Iterator[JsonObject]:
        for name, value in arguments.items():
            options: list[bool] | list[int] = []
            if isinstance(value, bool):
                options = [not value]
            elif isinstance(value, int):
                options = self._sizes
            yield from ({**arguments, name: option} for option in options if option != value)

    def _distance(self, arguments: JsonObject) -> float:
        """Return how many sizes and tensors differ from the checkpoint's; 0 if none does."""
        self._builds += 1
        try:
            with torch.device("meta"):
                module = self._network.make(**arguments)
            have = {
                name: tuple(value.shape)
                for name, value in module.state_dict().items()
                if isinstance(value, Tensor)
            }
        except Exception:  # noqa: BLE001 - not every combination can be built
            return float("inf")
        distance = 10.0 * len(have.keys() ^ self._shapes.keys())
        for name in have.keys() & self._shapes.keys():
            one, other = have[name], self._shapes[name]
            same_rank = len(one) == len(other)
            distance += sum(a != b for a, b in zip(one, other, strict=False)) if same_rank else 5
        return distance
