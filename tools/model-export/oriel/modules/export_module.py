"""Exports a module: the order of the steps, and the folder that they fill."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from oriel.bundle.atomic_folder import refuse_foreign_folder, replaced_folder
from oriel.contract.documents import ModuleMetadata
from oriel.contract.library_files import GRAPHS, graph_file
from oriel.errors import ModuleError
from oriel.formats import check_formats, check_opset
from oriel.formats.format import Format, WriteOptions
from oriel.formats.simplify_onnx import simplifier_paths
from oriel.formats.structure_beside import METADATA
from oriel.modules.axes import DynamicAxes
from oriel.modules.call import CallArguments
from oriel.modules.export_request import ExportRequest
from oriel.modules.fallbacks import ExportedFile, write_format
from oriel.modules.fresh_process import start_early
from oriel.modules.library_folder import SUFFIXES, own_names
from oriel.modules.metadata import (
    METADATA_VERSION,
    export_to_json,
    listed_files,
    metadata_text,
    signature_text,
    versions,
)
from oriel.modules.prepared_module import PreparedModule, prepare
from oriel.modules.quantize_onnx import quantized_variants
from oriel.modules.quantized_variant import check_precisions, compressed_variant, forms_of
from oriel.modules.simplify import check_simplify, simplified
from oriel.modules.slim import SlimModule
from oriel.modules.written_files import describe, digest
from oriel.precision.plain_model import INT8
from oriel.stage_callback import StageCallback

MODEL = "model"
"""The name of every file, before the format's suffix."""


@dataclass(frozen=True)
class ModuleExportReport:
    """The files that an export wrote."""

    folder: Path
    files: tuple[ExportedFile, ...]
    metadata: ModuleMetadata
    earlier_stays: bool = False
    """True where no format was written and the folder still holds the export that was there."""

    @property
    def passed(self) -> bool:
        """Return whether every format was written, and verified where this machine can run it."""
        variants = [variant for file in self.files for variant in file.variants]
        return not any(file.error for file in self.files) and not any(v.error for v in variants)


def export_module(
    module: nn.Module | SlimModule,
    args: tuple[object, ...] = (),
    kwargs: Mapping[str, object] | None = None,
    *,
    formats: Sequence[str] = ("pt2",),
    dynamic: DynamicAxes | None = None,
    outputs: Sequence[str] | None = None,
    opset: int | None = None,
    simplify: bool = False,
    out: str | Path,
) -> ModuleExportReport:
    """Export a module to files with flat inputs and outputs, and verify each in a fresh process.

    module: put into eval mode and onto the CPU; or what `slim` makes of one. args, kwargs: an
    example call, of any nesting. formats: names such as `ts`, `pt2` and `onnx`. dynamic:
    {path pattern: {axis: name}}, such as {"inputs.voxels.*": {0: "voxels"}}. outputs: patterns of
    paths in the output, such as ("O1", "score"); by default all. opset: of the ONNX file, read back
    from it. simplify: put the ONNX file that onnxslim makes of it in its place, if that is sound.
    out: the folder to write.

    Raises OrielError for what can't be exported at all, and then writes nothing. A format that
    fails leaves the others; the report and metadata.json say so. Where all fail, an earlier export
    in the folder stays as it is, and the report alone says why.
    """
    if isinstance(formats, str) or isinstance(outputs, str):
        raise ModuleError("formats and outputs are lists", got="a text", expected='("pt2",)')
    request = ExportRequest(
        module,
        CallArguments(tuple(args), kwargs),
        tuple(formats),
        Path(out),
        dynamic or {},
        None if outputs is None else tuple(outputs),
        opset=opset,
        simplify=simplify,
    )
    return run_export(request)


def run_export(
    request: ExportRequest, on_stage: StageCallback = lambda _: None
) -> ModuleExportReport:
    """Prepare, write every format, and describe the result in metadata.json."""
    formats = check_formats(request.formats)
    check_opset(request.opset)
    names = [form.name for form in formats]
    check_simplify(request.simplify, names)
    check_precisions(request.precisions, names, request.reader is not None)
    if request.simplify:
        simplifier_paths()
    check_output_folder(request.out)
    on_stage("run the module")
    start_early()
    prepared = prepare(request)
    for note in prepared.notes:
        on_stage(note)
    had_earlier = (request.out / METADATA).is_file()
    try:
        with replaced_folder(request.out, lambda: check_output_folder(request.out)) as folder:
            files = [_write(request, (folder, form), prepared, on_stage) for form in formats]
            beside = _write_library_files(request, folder, files)
            metadata = _metadata((request, folder), prepared, formats, files, beside)
            if had_earlier and not any(file.file for file in files):
                raise _EarlierStays
            (folder / METADATA).write_text(metadata_text(metadata), encoding="utf-8")
    except _EarlierStays:
        return ModuleExportReport(request.out, tuple(files), metadata, earlier_stays=True)
    written = [_moved(file, folder, request.out) for file in files]
    return ModuleExportReport(request.out, tuple(written), metadata)


def _moved(file: ExportedFile, staged: Path, out: Path) -> ExportedFile:
    """Return a result with the places that its files have now."""

    def there(each: Path | None) -> Path | None:
        return each and out / each.relative_to(staged)

    variants = tuple(
        replace(
            each,
            file=there(each.file),
            beside=tuple(out / b.relative_to(staged) for b in each.beside),
        )
        for each in file.variants
    )
    return replace(file, file=there(file.file), variants=variants)


class _EarlierStays(Exception):
    """Raised to keep the earlier export in place: whoever tries another setting and fails still has
    the files that worked."""


def _write(
    request: ExportRequest,
    target: tuple[Path, Format],
    prepared: PreparedModule,
    on_stage: StageCallback,
) -> ExportedFile:
    """Write and verify one format's file in the folder; where that is asked for, simplify it and
    write its int8 forms."""
    folder, form = target
    options = WriteOptions(signature_text(prepared.signature), request.opset)
    place = _place(request, folder, form)
    written = write_format((form, place), prepared.call, options, prepared.cases, on_stage)
    if written.file is None:
        return written
    if request.simplify and form.name == "onnx":
        written = simplified(written, prepared.call, prepared.cases, on_stage)
    wanted = forms_of(form, [name for name in INT8 if name in request.precisions])
    if not wanted or request.reader is None:
        return written
    if form.int8 is not None:
        one = compressed_variant((form, place), request.reader, prepared.call, on_stage)
        return replace(written, variants=(one,))
    made = quantized_variants((folder, place), request.reader, prepared.call, wanted, on_stage)
    return replace(written, variants=tuple(made))


def _place(request: ExportRequest, folder: Path, form: Format) -> Path:
    """Return the place of a format's file, whose folder is there."""
    if request.library is None or form.name != "onnx":
        return folder / f"{MODEL}{form.suffix}"
    (folder / GRAPHS).mkdir()
    return folder / graph_file(SUFFIXES["fp32"])


def _write_library_files(
    request: ExportRequest, folder: Path, files: Sequence[ExportedFile]
) -> list[Path]:
    """Write what other libraries read, and return these files."""
    if request.library is None:
        return []
    with contextlib.suppress(OSError):
        # Where no ONNX file was written, the folder for it is empty.
        (folder / GRAPHS).rmdir()
    found = next((file for file in files if file.format == "onnx" and file.file), None)
    onnx_files: dict[str, Path] = {}
    if found is not None and found.file is not None:
        onnx_files["fp32"] = found.file
        onnx_files |= {each.precision: each.file for each in found.variants if each.file}
    written = []
    for name, data in request.library.files(onnx_files).items():
        written.append(folder / name)
        written[-1].write_bytes(data)
    return written


def check_output_folder(folder: Path) -> None:
    """Raise BundleError for a folder that holds anything but an earlier export of a module."""
    # Without its metadata a file called model.onnx may be anyone's.
    earlier = (folder / METADATA).is_file()
    names = own_names() if earlier else frozenset()
    listed = listed_files(folder) & names

    def is_own(name: str) -> bool:
        if name == GRAPHS:
            inner = [each.relative_to(folder).as_posix() for each in (folder / GRAPHS).rglob("*")]
            return bool(inner) and names.issuperset(inner)
        return earlier and (name == METADATA or name.startswith(f"{MODEL}.") or name in listed)

    refuse_foreign_folder(folder, is_own, "--output")


def _metadata(
    target: tuple[ExportRequest, Path],
    prepared: PreparedModule,
    formats: Sequence[Format],
    files: Sequence[ExportedFile],
    beside: Sequence[Path],
) -> ModuleMetadata:
    request, folder = target
    checkpoint = prepared.checkpoint
    library_notes = () if request.library is None else request.library.notes
    return {
        "format": "oriel-module",
        "metadata_version": METADATA_VERSION,
        "model_type": prepared.model_type,
        "method": prepared.method,
        "config": request.config,
        "checkpoint": None
        if checkpoint is None
        else {
            "file": checkpoint.file.name,
            "bytes": checkpoint.file.stat().st_size,
            "sha256": digest(checkpoint.file),
        },
        "tensor_count": len(prepared.signature.inputs),
        "signature": prepared.signature.to_json(),
        "left_out": [
            {"name": part.name, "tensors": part.tensors, "bytes": part.bytes}
            for part in prepared.left_out
        ],
        "notes": [
            *prepared.notes,
            *library_notes,
            *(f"{form.name}: {form.note}" for form in formats if form.note),
        ],
        "export_success": {file.format: file.file is not None for file in files},
        "exports": [export_to_json(file, folder) for file in files],
        "library_files": describe(beside, folder),
        "opset": next((file.opset for file in files if file.opset is not None), None),
        "versions": versions(formats, request.simplify),
    }
