"""Exports of one spec or of several: each into a folder, going on after a failure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from torch import Tensor, nn

from oriel.checkpoints.load_strictly import load_strictly
from oriel.checkpoints.read_checkpoint import read_checkpoint
from oriel.errors import ModuleError, OptionError, OrielError
from oriel.modules.call import CallArguments
from oriel.modules.export_module import ModuleExportReport, check_output_folder, run_export
from oriel.modules.export_request import ExportRequest, LoadedCheckpoint
from oriel.modules.paths import matches
from oriel.modules.slim import has_parts, slim
from oriel.modules.spec import ModuleSpec, NamedSpec, call_of_spec
from oriel.stage_callback import StageCallback


@dataclass(frozen=True)
class ConvertOptions:
    """Choices for every module of one call."""

    formats: tuple[str, ...]
    output: Path
    opset: int | None = None
    unsafe_pickle: bool = False
    simplify: bool = False
    precisions: tuple[str, ...] = ()


NOTHING_WRITTEN = ConvertOptions((), Path())
"""For a module that is built to be run."""


@dataclass(frozen=True)
class Conversion:
    """The outcome of one spec."""

    name: str
    report: ModuleExportReport | None
    error: OrielError | None

    @property
    def exit_code(self) -> int:
        """Return 0 if every format was written, 1 if one failed, an error's own if none could be
        tried."""
        if self.error is not None:
            return self.error.exit_code
        return 0 if self.report is not None and self.report.passed else 1


def convert_all(
    specs: Sequence[tuple[NamedSpec, Path | None]],
    options: ConvertOptions,
    on_stage: StageCallback,
    folders: Sequence[Path],
) -> list[Conversion]:
    """Export specs, each with its checkpoint, into these folders. An error of one leaves the
    others."""
    done = []
    for (named, checkpoint), folder in zip(specs, folders, strict=True):
        on_stage(f"{named.name}: build")
        try:
            report = convert(named, checkpoint, replace(options, output=folder), on_stage)
            done.append(Conversion(named.name, report, None))
        except OrielError as error:
            on_stage(f"{named.name}: {error}")
            done.append(Conversion(named.name, None, error))
    return done


def output_folders(specs: Sequence[NamedSpec], output: Path) -> list[Path]:
    """Return the folder of each spec: `output` itself for one, a folder in it of the spec's name
    for several. Raises OptionError where two have one name."""
    if len(specs) == 1:
        return [output]
    folders = [output / named.name for named in specs]
    if len(set(folders)) < len(folders):
        names = [named.name for named in specs]
        twice = next(name for name in names if names.count(name) > 1)
        raise OptionError(
            "two specs have one name",
            got=twice,
            expected="names that differ: each gets a folder",
            next_step="rename one, or convert them in two calls.",
        )
    return folders


def convert(
    named: NamedSpec, checkpoint: Path | None, options: ConvertOptions, on_stage: StageCallback
) -> ModuleExportReport:
    """Export one spec. Raises OrielError for what can't be exported at all."""
    check_output_folder(options.output)
    return run_export(export_request(named, checkpoint, options), on_stage)


def export_request(
    named: NamedSpec, checkpoint: Path | None, options: ConvertOptions
) -> ExportRequest:
    """Build the module of a spec and make its example call. Raises OrielError where the spec does
    neither."""
    spec, what = named.spec, f"{named.file.name}:{named.name}"
    if checkpoint is None and spec.checkpoint is not None:
        checkpoint = named.file.parent / spec.checkpoint
    module = call_of_spec(spec.build, f"{what} build")
    if not isinstance(module, nn.Module):
        raise ModuleError(
            f"{what}: build returns no module",
            got=f"a {type(module).__name__}",
            expected="a torch.nn.Module",
        )
    # A part that is built later, or only in training, may be in the checkpoint alone.
    present = [each for each in spec.drop if checkpoint is None or has_parts(module, each)]
    chosen = slim(
        module,
        submodule=spec.submodule,
        method=spec.method,
        drop=present,
        clone_inputs=spec.clone_inputs,
    )
    return ExportRequest(
        chosen,
        _arguments(spec.inputs, f"{what} inputs"),
        options.formats,
        options.output,
        spec.dynamic,
        None if spec.outputs is None else tuple(spec.outputs),
        None if spec.second is None else _arguments(spec.second, f"{what} second"),
        {name: _arguments(make, f"{what} case {name}") for name, make in spec.cases.items()},
        spec.largest,
        spec.dotted_names,
        spec.layers,
        options.opset,
        spec.config,
        load=None
        if checkpoint is None
        else partial(_load, module, (checkpoint, spec, options.unsafe_pickle)),
        simplify=options.simplify,
        precisions=options.precisions,
        reader=None if named.library is None else named.library.reader,
        library=named.library,
    )


def _arguments(make: Callable[[], object], what: str) -> CallArguments:
    made = call_of_spec(make, what)
    if isinstance(made, tuple):
        return CallArguments(made)
    if isinstance(made, Mapping):
        return CallArguments((), made)
    raise ModuleError(
        f"{what} are no arguments",
        got=f"a {type(made).__name__}",
        expected="a tuple by position, or a dict by parameter name",
        next_step="return (value,) for one argument.",
    )


def _load(
    whole: nn.Module, source: tuple[Path, ModuleSpec, bool], _: nn.Module
) -> LoadedCheckpoint:
    """Load a checkpoint into the whole module, strictly: what the spec leaves out by name counts as
    left out, and anything else missing or unexpected is an error."""
    file, spec, unsafe_pickle = source
    held = read_checkpoint(file, unsafe_pickle=unsafe_pickle)
    stored = held.tensors
    wanted: dict[str, Tensor] = {}
    unused: dict[str, int] = {}
    for name, tensor in stored.items():
        own = name.removeprefix(spec.prefix)
        beside = not name.startswith(spec.prefix)
        if beside or any(_within(pattern, own) for pattern in spec.drop):
            unused[name] = tensor.numel() * tensor.element_size()
        else:
            wanted[own] = tensor
    for pattern in spec.drop:
        names = [name.removeprefix(spec.prefix) for name in unused]
        if not any(_within(pattern, name) for name in names) and not has_parts(whole, pattern):
            raise ModuleError(
                "the pattern of parts to drop matches nothing",
                got=pattern,
                expected=f"a part of the module or of {file.name}",
            )
    load_strictly(whole, wanted)
    foreign = tuple(f"{each.place} ({each.name})" for each in held.foreign)
    return LoadedCheckpoint(file, unused, foreign)


def _within(pattern: str, name: str) -> bool:
    """Return whether a tensor belongs to a part that a pattern of parts matches."""
    parts = tuple(name.split("."))
    return any(matches(pattern, parts[:count]) for count in range(1, len(parts)))
