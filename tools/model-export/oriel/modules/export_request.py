"""The settings of one export of a module."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from oriel.contract.json_value import JsonObject
from oriel.modules.axes import DynamicAxes
from oriel.modules.call import CallArguments

if TYPE_CHECKING:
    from torch import nn

    from oriel.modules.library_folder import LibraryFolder, TextReader
    from oriel.modules.slim import SlimModule


@dataclass(frozen=True)
class LoadedCheckpoint:
    """The checkpoint whose tensors a module has, for the metadata."""

    file: Path
    unused: Mapping[str, int] = field(default_factory=dict)
    """{name: bytes} of the tensors that were left out on purpose."""
    foreign: tuple[str, ...] = ()
    """Objects of other classes in the file, of which nothing was used."""


@dataclass(frozen=True)
class ExportRequest:
    """One module, one example, the formats and the folder."""

    module: nn.Module | SlimModule
    call: CallArguments
    formats: tuple[str, ...]
    out: Path
    dynamic: DynamicAxes = field(default_factory=dict)
    outputs: tuple[str, ...] | None = None
    """Patterns of paths in the output, in the order of the files' outputs; None for all."""
    second: CallArguments | None = None
    """The input of verification; None for one made from the example."""
    cases: Mapping[str, CallArguments] = field(default_factory=dict)
    """{name: another input of verification}."""
    largest: Mapping[str, int] = field(default_factory=dict)
    """{name of a dynamic axis: largest size} for formats that plan their memory."""
    dotted_names: bool = False
    """Tensors are called by their paths."""
    layers: int = 0
    """As in ModuleSpec."""
    opset: int | None = None
    config: JsonObject | None = None
    checkpoint: LoadedCheckpoint | None = None
    load: Callable[[nn.Module], LoadedCheckpoint] | None = None
    """Loads trained tensors, once lazily built parts are there."""
    simplify: bool = False
    """Simplify the ONNX file, where that makes no difference but to its size."""
    precisions: tuple[str, ...] = ()
    """Forms of the ONNX file beside float32, of a model that has a `reader`."""
    reader: TextReader | None = None
    """The limits within which the model reads text; None for a module that isn't
    known to read any."""
    library: LibraryFolder | None = None
    """Files for other libraries, which then find the ONNX file too."""

    @property
    def patterns(self) -> Sequence[str]:
        return self.outputs if self.outputs is not None else ("**",)
