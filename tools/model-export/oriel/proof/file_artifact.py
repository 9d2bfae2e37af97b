"""A file of one of our formats, run by its own runtime in a process of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from oriel.contract.documents import ModuleTensor
from oriel.contract.strict_json import read_json
from oriel.errors import ContractError, ModuleError, OptionError
from oriel.formats import formats_by_name
from oriel.formats.format import Format
from oriel.formats.structure_beside import METADATA
from oriel.modules.check_metadata import check_metadata
from oriel.modules.metadata import read_signature
from oriel.modules.open_module import format_of
from oriel.modules.run_file import run_file
from oriel.modules.written_files import files_in
from oriel.proof.artifact import (
    Artifact,
    Port,
    Tensors,
    versions_of,
)


class FileArtifact(Artifact):
    """A file, described by the signature that it carries or, for ONNX, by its own graph."""

    kind = "file"

    def __init__(self, place: str) -> None:
        self.place, self._file = place, Path(place)
        self._format = format_of(self._file)
        unrunnable = self._format.unrunnable()
        if unrunnable is not None:
            raise OptionError(
                f"{self._file.name} can't be compared on this machine", got=unrunnable
            )
        self.format = self._format.name
        self.runtime, self.provider = self._format.runtime, self._format.provider
        self.precision = _precision_of(self._file)
        text = self._format.structure(self._file)
        if text is not None:
            signature = read_signature(text, self._file.name)
            self.inputs = [_port(row) for row in signature["inputs"]]
            self.outputs = [_port(row) for row in signature["outputs"]]
        elif self._format.name == "onnx":
            from oriel.proof.onnx_ports import onnx_ports

            self.inputs, self.outputs = onnx_ports(self._file)
        else:
            raise ModuleError(
                f"{self._file.name} doesn't name its inputs and outputs",
                got="a file without a structure",
                expected="one that `oriel convert` or oriel.export_module wrote, or an ONNX file",
            )
        self._read = files_read(self._format, self._file)

    def run(self, calls: Sequence[Tensors], wanted: Sequence[str]) -> list[dict[str, Tensor]]:
        inputs = [[call[port.name] for port in self.inputs] for call in calls]
        names = [port.name for port in self.outputs]
        ran = run_file(self._format.name, self._file, inputs)
        for got in ran:
            if len(got) != len(names):
                raise ModuleError(
                    f"{self._file.name} gives another number of outputs than it declares",
                    got=str(len(got)),
                    expected=str(len(names)),
                )
        found = [dict(zip(names, got, strict=True)) for got in ran]
        return [{name: got[name] for name in wanted} for got in found]

    def files(self) -> tuple[Path, Sequence[Path]]:
        return self._file.parent, files_in(self._read)

    def versions(self) -> dict[str, str]:
        paths = self._format.package_paths()
        return versions_of(("torch", *self._format.distributions), paths)


def files_read(form: Format, file: Path) -> list[Path]:
    """Return a file or folder, and those that it is opened with. Raises GraphError for an ONNX file
    whose weights lie elsewhere than beside it."""
    beside = [file.with_name(file.name.removesuffix(form.suffix) + s) for s in form.beside]
    if form.name == "onnx":
        from oriel.proof.onnx_ports import data_files

        beside += data_files(file)
    return [file, *(entry for entry in beside if entry.exists())]


def _precision_of(file: Path) -> str | None:
    """Return the precision under which a metadata.json lists the file as a variant; None for any
    other file, and where there is no metadata that can be read."""
    for folder in (file.parent, file.parent.parent):
        with contextlib.suppress(OSError, ContractError):
            data = check_metadata(read_json((folder / METADATA).read_bytes(), METADATA), METADATA)
            found = [
                variant["precision"]
                for export in data["exports"]
                for variant in export.get("variants", [])
                if variant["file"] == file.relative_to(folder).as_posix()
            ]
            return found[0] if found else None
    return None


def _port(row: ModuleTensor) -> Port:
    axes = row["dynamic_axes"]
    shape = tuple(axes.get(str(axis), size) for axis, size in enumerate(row["shape"]))
    port = Port(row["name"], row["dtype"], shape)
    if "range" not in row:
        return port
    low, high = row["range"]
    return replace(port, range=(low, high))


def is_file(place: str) -> bool:
    """Return whether a place names a file of one of our formats."""
    path = Path(place)
    folders = tuple(form.suffix for form in formats_by_name().values() if form.is_folder)
    return path.name.endswith(file_suffixes()) and (
        path.is_file() or (path.is_dir() and path.name.endswith(folders))
    )


def file_suffixes() -> tuple[str, ...]:
    """Return the suffixes of all formats."""
    return tuple(form.suffix for form in formats_by_name().values())


def refuse_export_folder(folder: Path) -> None:
    """Raise OptionError, naming the files, for a folder that `oriel convert` wrote."""
    if not (folder / METADATA).is_file():
        return
    suffixes = file_suffixes()
    files = sorted(each.name for each in folder.iterdir() if each.name.endswith(suffixes))
    raise OptionError(
        "the folder holds files of several formats",
        got=str(folder),
        expected=f"one of its files: {', '.join(files)}",
    )
