"""The parts of a format: the ways of writing it, in the order in which they are tried, and how a
file of it is opened in a process that knows nothing else."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import (
    AbstractContextManager,
    ExitStack,
    contextmanager,
    nullcontext,
    redirect_stderr,
    redirect_stdout,
)
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from oriel.formats.packages import package_paths

if TYPE_CHECKING:
    from torch import Tensor, nn

    Runner = Callable[[Sequence[Tensor]], Sequence[Tensor]]
    """Takes the flat inputs and returns the flat outputs of a file, both in its order."""


@dataclass(frozen=True)
class FlatCall:
    """A module of flat tensors with its example, ready to be written."""

    module: nn.Module
    """Takes tensors by position and returns a tuple of tensors; in eval mode, on the CPU."""
    inputs: Sequence[Tensor]
    input_names: Sequence[str]
    output_names: Sequence[str]
    axes: Sequence[Mapping[int, str]]
    """For each input {axis: name}."""
    output_axes: Sequence[Mapping[int, str]]
    script: ScriptedCall | None = None
    slimmed: Callable[[], AbstractContextManager[None]] = nullcontext
    """Takes away the weights that the example doesn't use, for as long as a run is recorded."""
    state: Callable[[], Mapping[str, Tensor]] = dict
    """Returns the state dict of the caller's own module."""
    largest: Mapping[str, int] = field(default_factory=dict)
    """{name of an axis: largest size} for formats that plan their memory; where an axis isn't
    named, they take some times the example's size."""
    unread: Sequence[str] = ()
    """Names of its parts and parameters that no operator reads: a program lacks them."""
    layered: Callable[[], LayeredCall] | None = None
    """Makes a call of its first layers alone; None where nobody says that it has layers. Raises
    LayersDiffer where they are seen to differ before any trace."""


@dataclass(frozen=True)
class LayeredCall:
    """A call of a module's first TRACED_LAYERS layers, with unset weights and true buffers."""

    call: FlatCall
    """Its first outputs are STREAM_IN and stream_after of each layer; the others, and the inputs,
    are those of the whole call, but for the layers that it lacks."""
    layers: int
    """Of the whole module."""
    blocks: str
    """Path of their list, as in the names of the call's weights."""
    kept_under: Mapping[str, object] | None
    """What decides the graph beside versions and sources of packages; None where code that is in
    none of these does."""


@dataclass(frozen=True)
class ScriptedCall:
    """The same call for TorchScript's compiler, which reads the module's code and not its run."""

    module: nn.Module
    source: Callable[[], str]
    """Makes the source of a `forward` that calls `self.model`. Raises OrielError where TorchScript
    has no way to write the inputs or the outputs."""


@dataclass(frozen=True)
class TensorType:
    """One flat input or output."""

    name: str
    shape: Sequence[int]
    """Sizes in the example."""
    dtype: str
    """As torch calls it: float32."""
    axes: Mapping[int, str]
    """{axis: name} of those whose size may change in the file."""


@dataclass(frozen=True)
class Expected:
    """The facts that a file is held to where it isn't run."""

    inputs: Sequence[TensorType]
    outputs: Sequence[TensorType]
    weights: Path
    """A safetensors file of the module's state dict."""


@dataclass(frozen=True)
class WriteOptions:
    """Choices for a file."""

    structure: str
    """JSON that tells what the flat names stand for, kept inside the file."""
    opset: int | None = None
    """Of an ONNX file; None for the exporter's own."""


@dataclass(frozen=True)
class Way:
    """One way of writing a file."""

    name: str
    write: Callable[[FlatCall, Path, WriteOptions], Sequence[str]]
    """Writes the file, and returns what it can't do: branches that a recorded run fixes as they
    were taken on the example, sizes that are too large."""
    fixed_sizes: bool = False
    """The file takes the example's sizes alone."""
    written_as: str | None = None
    """The format of the file that stands in the place of this format's own, where that can't be
    made on this machine. It is called model.NAME.SUFFIX, and run by its own runtime."""


@dataclass(frozen=True)
class Int8Form:
    """How an int8 form of a float32 file is written."""

    recipe: str
    """The tool's name of what it does."""
    write: Callable[[Path, Path], None]
    """Writes the form of a file, without changing that, at another place. Raises OrielError."""
    package_paths: Callable[[], list[Path]]
    """Returns the folders of its packages. Raises OptionError naming one that isn't installed."""


@dataclass(frozen=True)
class Format:
    """A format of files."""

    name: str
    suffix: str
    packages: Sequence[str]
    """Modules that must be there to write it and to run it."""
    ways: Callable[[FlatCall, WriteOptions], Sequence[Way]]
    """The ways of writing it, the best first."""
    open: Callable[[Path], Runner]
    """Opens a file, from the file alone."""
    structure: Callable[[Path], str | None]
    """Reads the JSON that `WriteOptions.structure` put into a file; None where there is none."""
    opset: Callable[[Path], int | None] = lambda _: None
    """Reads the opset back from a file."""

    beside: Sequence[str] = ()
    """Suffixes of the files that lie beside it, under its name without its own suffix."""
    note: str = ""
    """What whoever chooses it should know; told with every export."""
    distributions: Sequence[str] = ()
    """Whose versions decide its files, beside torch's."""
    runtime: str = "PyTorch"
    """The runtime that opens its files, as people call it."""
    provider: str | None = None
    """The part of the runtime that computes, where there are several."""
    is_folder: bool = False
    """Its file is a folder."""
    in_all: bool = True
    """Whoever asks for all formats gets it, where its packages are here."""
    weights_alone: bool = False
    """Its files hold tensors and no program: nothing can be run, and `check` proves them."""
    unrunnable: Callable[[], str | None] = lambda: None
    """Says why no file of it runs on this machine, and what is unproven for that; None where files
    run."""
    check: Callable[[Path, Expected], Sequence[str]] | None = None
    """Holds a file to the module without running it, and says what was compared. Raises OrielError
    where they differ."""
    int8: Int8Form | None = None
    """The int8 form that a tool of the format's makes of its float32 file."""

    @property
    def proven_by_check(self) -> bool:
        """Return whether `check` stands in the place of a run here."""
        return self.weights_alone or self.unrunnable() is not None

    def package_paths(self) -> list[Path]:
        """Return the folders that must be on the path to write and run it. Raises OptionError
        naming a package that isn't installed."""
        return package_paths(self.name, self.packages)

    def make_importable(self) -> None:
        """Put these folders on the path of this process, behind its own packages, which stay what
        they are."""
        paths = [str(folder) for folder in self.package_paths()]
        sys.path.extend(path for path in paths if path not in sys.path)


@contextmanager
def quiet_exporters() -> Iterator[None]:
    """Keep exporters from printing: they warn of packages that they could use elsewhere, and what
    fails is told by the exception."""
    disabled = logging.root.manager.disable
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        stack.enter_context(redirect_stdout(StringIO()))
        stack.enter_context(redirect_stderr(StringIO()))
        stack.enter_context(_silent_native_code())
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(disabled)


@contextmanager
def _silent_native_code() -> Iterator[None]:
    """Drop what native code prints past Python's streams: where torch's classic ONNX exporter lacks
    an operator, it prints the whole graph."""
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


@contextmanager
def fixed_branches() -> Iterator[list[str]]:
    """Yield a list that gets what torch's tracer says of branches and numbers that it fixes as they
    were in the example, each with its place in the code."""
    import torch
    from torch.jit._trace import TracerWarning

    said: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield said
    for warning in caught:
        # Of torch's own code it warns where this compares sizes.
        inside = Path(warning.filename).is_relative_to(Path(torch.__file__).parent)
        if issubclass(warning.category, TracerWarning) and not inside:
            text = str(warning.message).partition(". ")[0]
            line = f"{Path(warning.filename).name}:{warning.lineno}: {text}"
            if line not in said:
                said.append(line)
