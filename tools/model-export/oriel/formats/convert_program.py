"""Files that are made from another file, a `.pt2` or an ONNX file, by packages of their own, in a
process that has these on its path: `python -m oriel.formats.convert_program FOLDER`."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from oriel.errors import ModuleError, reason_of
from oriel.formats.format import FlatCall, Way, WriteOptions, quiet_exporters
from oriel.formats.largest_sizes import largest_sizes
from oriel.formats.own_process import command_of, environment_with, how_it_ended
from oriel.formats.packages import package_paths
from oriel.formats.size_names import size_of

_TIMEOUT_S = 3600
_LONGEST = 200
"""Characters of a library's own error that are told."""


@dataclass(frozen=True)
class Conversion:
    """A file to make from another one, and the flat names of its tensors."""

    source: Path
    file: Path
    input_names: Sequence[str]
    output_names: Sequence[str]
    ranges: Sequence[Sequence[Sequence[int]]] = ()
    """For each input its smallest sizes, the example's, and the largest."""


@dataclass(frozen=True)
class Converter:
    """The way in which the files of a format are made from another file."""

    format_name: str
    packages: Sequence[str]
    """The format's packages, which the other process imports."""
    convert: Callable[[Conversion], None]
    """A function at the top of its module, which is imported in the other process."""
    write_source: Callable[[FlatCall, Path, WriteOptions], object]
    source_suffix: str

    def way(self, name: str, notes: Callable[[FlatCall], Sequence[str]] = lambda _: ()) -> Way:
        """Return the way that keeps dynamic axes. notes: of a call, what its file can't do."""

        def write(call: FlatCall, file: Path, options: WriteOptions) -> Sequence[str]:
            self._write(call, file, options)
            return notes(call)

        return Way(name, write)

    def fixed_way(self, name: str) -> Way:
        """Return the way whose file takes the example's sizes alone."""

        def write(call: FlatCall, file: Path, options: WriteOptions) -> Sequence[str]:
            none: list[dict[int, str]] = [{} for _ in call.axes]
            fixed = replace(call, axes=none, output_axes=[{} for _ in call.output_axes])
            self._write(fixed, file, options)
            return ()

        return Way(f"{name}, sizes as in the example", write, fixed_sizes=True)

    def _write(self, call: FlatCall, file: Path, options: WriteOptions) -> None:
        paths = package_paths(self.format_name, self.packages)
        with tempfile.TemporaryDirectory(prefix="oriel-convert-") as name:
            source = Path(name).resolve() / f"source{self.source_suffix}"
            self.write_source(call, source, replace(options, opset=None))
            names = call.input_names, call.output_names
            conversion = Conversion(source, file, *names, _ranges(call))
            run_conversion(self.convert, conversion, paths)


def run_conversion(
    convert: Callable[[Conversion], None], conversion: Conversion, paths: Sequence[Path]
) -> None:
    """Convert in a process of its own. convert: a function at the top of its module. paths: folders
    of packages that it imports. Raises ModuleError with the library's reason."""
    with tempfile.TemporaryDirectory(prefix="oriel-convert-") as name:
        folder = Path(name).resolve()
        request = {
            "module": convert.__module__,
            "function": convert.__name__,
            "source": str(conversion.source.resolve()),
            "file": str(conversion.file.resolve()),
            "input_names": list(conversion.input_names),
            "output_names": list(conversion.output_names),
            "ranges": conversion.ranges,
        }
        (folder / "request.json").write_text(json.dumps(request), encoding="utf-8")
        _run(folder, paths)


def _ranges(call: FlatCall) -> list[list[list[int]]]:
    largest = largest_sizes(call)
    least = dict.fromkeys(largest, 1)
    return [
        [
            _sizes(tensor.shape, axes, least),
            list(tensor.shape),
            _sizes(tensor.shape, axes, largest),
        ]
        for tensor, axes in zip(call.inputs, call.axes, strict=True)
    ]


def _sizes(shape: Sequence[int], axes: Mapping[int, str], known: Mapping[str, int]) -> list[int]:
    return [size_of(axes[at], known) if at in axes else size for at, size in enumerate(shape)]


def _run(folder: Path, paths: Sequence[Path]) -> None:
    """Convert as the folder's request says. Raises ModuleError with the library's reason."""
    done = subprocess.run(
        command_of("oriel.formats.convert_program", str(folder)),
        env=environment_with(paths),
        capture_output=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    result = folder / "result.json"
    if result.is_file():
        error = json.loads(result.read_text(encoding="utf-8"))["error"]
    else:
        said = done.stderr.decode("utf-8", "replace")
        error = f"its process ended with {how_it_ended(done.returncode, said)}"
    if error is not None:
        raise ModuleError("the conversion fails", got=str(error)[:_LONGEST])


def main(argv: Sequence[str] | None = None) -> int:
    """Convert as the request in the folder says, and write result.json beside it."""
    folder = Path((sys.argv[1:] if argv is None else argv)[0])
    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    error = None
    try:
        convert = getattr(importlib.import_module(request["module"]), request["function"])
        conversion = Conversion(
            Path(request["source"]),
            Path(request["file"]),
            request["input_names"],
            request["output_names"],
            request["ranges"],
        )
        with quiet_exporters():
            convert(conversion)
    except Exception as raised:  # noqa: BLE001 - libraries raise what they like
        error = f"{type(raised).__name__}: {reason_of(raised)}"
    (folder / "result.json").write_text(json.dumps({"error": error}), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
