"""Spec files: a few lines of Python that say how a module is built and exported."""

from __future__ import annotations

import importlib.util
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, TypeAlias

from oriel.contract.json_value import JsonObject
from oriel.errors import ModuleError, OptionError, OrielError, first_few, reason_of

if TYPE_CHECKING:
    from torch import nn

    from oriel.modules.library_folder import LibraryFolder

Inputs: TypeAlias = "tuple[object, ...] | Mapping[str, object]"
"""Arguments of a call: a tuple by position, or a dict by parameter name."""


@dataclass(frozen=True)
class ModuleSpec:
    """The settings by which one module is exported. Only `build` and `inputs` are needed."""

    build: Callable[[], nn.Module]
    """Makes the module, with untrained weights where a checkpoint follows."""
    inputs: Callable[[], Inputs]
    """Makes an example call. Sizes of dynamic axes are 2 or more."""
    dynamic: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    """{path pattern: {axis: name}}, such as {"inputs.voxels.*": {0: "voxels"}}."""
    outputs: Sequence[str] | None = None
    """Patterns of paths in the output, such as ("O1", "score"); None for all."""
    second: Callable[[], Inputs] | None = None
    """Makes the input of verification, with other sizes; None to make it from the example."""
    cases: Mapping[str, Callable[[], Inputs]] = field(default_factory=dict)
    """{name: makes another input of verification}, such as one with an empty cache."""
    largest: Mapping[str, int] = field(default_factory=dict)
    """{name of a dynamic axis: largest size} for formats that plan their memory beforehand."""
    dotted_names: bool = False
    """Call the files' tensors by their paths, such as past_key_values.0.key."""
    layers: int = 0
    """Number of layers in the one ModuleList of that length. Where they are alike, ONNX is traced
    from two of them, which is faster; where they aren't, from all, as for 0."""
    submodule: str = ""
    """Name of the part to export; empty for the whole."""
    method: str = "forward"
    drop: Sequence[str] = ()
    """Patterns of names of training-only parts; their tensors in a checkpoint are left out."""
    clone_inputs: bool = False
    """Let the files work on copies, for a module that changes its inputs."""
    checkpoint: str | None = None
    """A file, from the spec's folder; --checkpoint goes before it."""
    prefix: str = ""
    """Prefix of the module's tensors in the checkpoint, such as `generator_A.`; others are left
    out."""
    config: JsonObject | None = None
    """Goes into the metadata."""


@dataclass(frozen=True)
class NamedSpec:
    """A spec with the place that it was read from."""

    name: str
    file: Path
    spec: ModuleSpec
    library: LibraryFolder | None = None
    """Files for other libraries, where the module is a model that these know."""


def read_specs(place: str) -> list[NamedSpec]:
    """Return the specs of `path/to/spec.py:NAME`, of a file without NAME, or of a folder of such
    files. NAME is a ModuleSpec, or a function that returns one. The files are run: they are the
    user's own code. Raises OptionError or ModuleError."""
    path, name = _split(place)
    if path.is_dir():
        files = [file for file in sorted(path.glob("*.py")) if not file.name.startswith("_")]
        found = [spec for file in files for spec in _all_specs(file)]
    elif path.is_file():
        found = [_spec_called(name, path)] if name else _all_specs(path)
    else:
        raise OptionError(
            "there is no such spec",
            got=str(path),
            expected="a Python file as path/to/spec.py:NAME, or a folder of them",
        )
    if not found:
        raise OptionError(
            f"{path} holds no spec",
            expected="a ModuleSpec under a name of its own",
            next_step="write NAME = ModuleSpec(build=…, inputs=…) there.",
        )
    return found


def _split(place: str) -> tuple[Path, str]:
    path, colon, name = place.rpartition(":")
    if colon and path and name.isidentifier():
        return Path(path), name
    return Path(place), ""


def _all_specs(file: Path) -> list[NamedSpec]:
    held = vars(run_spec_file(file)).items()
    return [NamedSpec(name, file, spec) for name, spec in held if isinstance(spec, ModuleSpec)]


def _spec_called(name: str, file: Path) -> NamedSpec:
    held = vars(run_spec_file(file))
    if name not in held:
        known = [key for key, value in held.items() if isinstance(value, ModuleSpec)]
        raise OptionError(
            f"{file} has no {name}",
            expected=f"one of {first_few(known)}" if known else "a ModuleSpec of that name",
        )
    value = held[name]
    if callable(value) and not isinstance(value, ModuleSpec):
        value = call_of_spec(value, f"{file.name}:{name}")
    if not isinstance(value, ModuleSpec):
        raise OptionError(
            f"{file.name}:{name} is no spec",
            got=f"a {type(value).__name__}",
            expected="a ModuleSpec, or a function that returns one",
        )
    return NamedSpec(name, file, value)


def run_spec_file(file: Path) -> ModuleType:
    """Run a spec file as a module of its own, with its folder on the path for its imports. Raises
    ModuleError, naming the line, for what it raises."""
    name = _module_name(file)
    loader = importlib.util.spec_from_file_location(name, file)
    if loader is None or loader.loader is None:
        raise OptionError(f"{file} is no Python file", expected="a name that ends in .py")
    module = importlib.util.module_from_spec(loader)
    sys.modules[name] = module
    folder = str(file.parent.resolve())
    if folder not in sys.path:
        sys.path.append(folder)
    run = loader.loader.exec_module
    call_of_spec(lambda: run(module), file.name)
    return module


def _module_name(file: Path) -> str:
    """Return the name under which the file could be imported, so that classes have their usual
    names; another where a module of that name is there already, as for a spec called torch.py."""
    held = sys.modules.get(file.stem)
    if held is None and importlib.util.find_spec(file.stem) is None:
        return file.stem
    same = held is not None and getattr(held, "__file__", None) == str(file.resolve())
    return file.stem if same else f"oriel_spec_{file.stem}"


def call_of_spec(function: Callable[[], object], what: str) -> object:
    """Call the spec's code. Raises ModuleError, naming the line, for what it raises."""
    try:
        return function()
    except OrielError:
        raise
    except (Exception, SystemExit) as error:
        frames = traceback.extract_tb(error.__traceback__)
        own = [f for f in frames if not f.filename.startswith("<frozen") and f.filename != __file__]
        where = f" at {Path(own[-1].filename).name}:{own[-1].lineno}" if own else ""
        raise ModuleError(
            f"the spec fails: {what}",
            got=f"{type(error).__name__}: {reason_of(error)}{where}",
            next_step="run the spec's functions in Python first.",
        ) from error
