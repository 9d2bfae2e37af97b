"""One model in many formats: each file is made, proven and timed; what failed before, or is new, is
made in the next call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from oriel.contract.documents import ModuleExport, ModuleMetadata, ModuleVariant, ProofRecord
from oriel.contract.strict_json import read_json
from oriel.errors import ContractError, OptionError, OrielError
from oriel.formats import check_formats, formats_by_name
from oriel.formats.format import Format
from oriel.formats.structure_beside import METADATA
from oriel.modules.check_metadata import check_metadata
from oriel.modules.convert import ConvertOptions, convert
from oriel.modules.quantized_variant import forms_of
from oriel.modules.spec import NamedSpec
from oriel.pipeline.measure import Measured, Subject, measure_in_turns
from oriel.pipeline.measure_file import EAGER
from oriel.pipeline.onnx_graphs import optimized_graph
from oriel.pipeline.rows import PipelineRow, Verdict
from oriel.pipeline.sizes import AS_EXPORTED, TimedCase, timed_cases
from oriel.precision.plain_model import INT8
from oriel.precisions import FP32
from oriel.proof.check_record import read_record, write_record
from oriel.proof.file_artifact import FileArtifact
from oriel.proof.module_artifact import ModuleArtifact
from oriel.proof.open_pair import module_artifact
from oriel.proof.prove import ProofOptions, prove_pair
from oriel.stage_callback import StageCallback


@dataclass(frozen=True)
class PipelineOptions:
    """Choices for one call."""

    model: str
    formats: tuple[str, ...]
    output: Path
    precisions: tuple[str, ...] = ()
    """Precisions of the files of a model of transformers that have int8 forms, beside float32."""
    rounds: int = 3
    """Processes that time each file; 0 for no times."""
    again: bool = False
    """Make files anew that are there already."""


def run_pipeline(
    options: PipelineOptions, on_stage: StageCallback = lambda _: None
) -> list[PipelineRow]:
    """Make, prove and time every format, and return a row for the module and for each file. A
    format that fails leaves the others."""
    forms = check_formats(options.formats)
    on_stage("run the module")
    reference = module_artifact(options.model)
    named = reference.named
    rows = [PipelineRow(EAGER, "fp32", verdict="reference", bytes=_weight_bytes(reference))]
    for form in forms:
        rows += _made(form, named, options, on_stage)
    rows = [_proven(row, reference, options.output, on_stage) for row in rows]
    rows = [_counted(row, options.output) for row in rows]
    if options.rounds == 0:
        return rows
    cases = timed_cases(reference.call, named.spec.config)
    return list(_timed(rows, cases, options, on_stage))


def _weight_bytes(reference: ModuleArtifact) -> int:
    seen: dict[int, int] = {}
    for tensor in reference.call.state().values():
        storage = tensor.untyped_storage()
        seen[storage.data_ptr()] = storage.nbytes()
    return sum(seen.values())


def _made(
    form: Format, named: NamedSpec, options: PipelineOptions, on_stage: StageCallback
) -> Iterator[PipelineRow]:
    """Yield the rows of one format, whose files are made unless they are there."""
    folder = options.output / form.name
    kept = None if options.again else _kept(folder, form.name)
    if kept is not None and not _has(kept, _precisions_of(form, options.precisions)):
        kept = None
    if kept is not None:
        on_stage(f"{form.name}: is there already")
    else:
        try:
            precisions = _precisions_of(form, options.precisions)
            made = ConvertOptions((form.name,), folder, precisions=precisions)
            report = convert(named, None, made, lambda text: on_stage(text))
            kept = report.metadata
        except OrielError as error:
            on_stage(f"{form.name}: {error}")
            yield PipelineRow(form.name, "fp32", reason=str(error))
            return
    (row,) = kept["exports"]
    yield _row_of(row, folder.name)
    for variant in row.get("variants", []):
        yield _row_of_variant(row, variant, folder.name)


def _precisions_of(form: Format, asked: Sequence[str]) -> tuple[str, ...]:
    """Return those of the precisions that a format's files have here: where the packages of an int8
    form aren't installed, the others are made all the same."""
    found = forms_of(form, [name for name in INT8 if name in asked])
    if form.int8 is not None and found:
        try:
            form.int8.package_paths()
        except OptionError:
            return ()
    return found


def _has(data: ModuleMetadata, precisions: Sequence[str]) -> bool:
    """Return whether an export was asked for all of these precisions."""
    asked = {each["precision"] for row in data["exports"] for each in row.get("variants", [])}
    return set(precisions) - {FP32.name} <= asked


def _kept(folder: Path, name: str) -> ModuleMetadata | None:
    """Return the metadata of a format that was made before; None where it failed or isn't whole."""
    file = folder / METADATA
    if not file.is_file():
        return None
    try:
        data = check_metadata(read_json(file.read_bytes(), METADATA), METADATA)
    except ContractError:
        return None
    whole = all(
        (folder / row["file"]).exists() for row in data["exports"] if row["file"] is not None
    )
    return data if data["export_success"].get(name) and whole else None


def _row_of(row: ModuleExport, folder: str) -> PipelineRow:
    if row["file"] is None:
        return PipelineRow(row["format"], "fp32", reason=row["error"])
    unproven = row.get("not_verified")
    return PipelineRow(
        row["format"],
        "fp32",
        row["way"],
        f"{folder}/{row['file']}",
        row["bytes"],
        verdict="verified" if unproven is None else "not verified",
        reason=unproven,
        fixed_sizes=row.get("fixed_sizes", False),
    )


def _row_of_variant(row: ModuleExport, variant: ModuleVariant, folder: str) -> PipelineRow:
    if variant["file"] is None:
        return PipelineRow(row["format"], variant["precision"], reason=variant["error"])
    return PipelineRow(
        row["format"],
        variant["precision"],
        variant["recipe"],
        f"{folder}/{variant['file']}",
        variant["bytes"],
        verdict="measured",
    )


def _proven(
    row: PipelineRow, reference: ModuleArtifact, output: Path, on_stage: StageCallback
) -> PipelineRow:
    """Return a row with the errors of its file, which is compared with the module once more: the
    record lies beside it."""
    if row.file is None or row.verdict == "not verified":
        return row
    if formats_by_name()[row.format].weights_alone:
        return row
    file = output / f"{row.name}.proof.json".replace(" ", "_")
    try:
        pair = (reference, FileArtifact(str(output / row.file)))
        record = _earlier_proof(file, pair)
        if record is None:
            on_stage(f"{row.name}: compare")
            record = prove_pair(pair, ProofOptions())
            write_record(record, file)
    except OrielError as error:
        return replace(row, verdict="failed", reason=str(error))
    case, worst = max(
        ((case["name"], found) for case in record["cases"] for found in case["outputs"]),
        key=lambda found: found[1]["relative"] or 0.0,
    )
    verdicts: Mapping[str, Verdict] = {
        "same": "verified",
        "apart": "failed",
        "measured": "measured",
    }
    return replace(
        row,
        proof={"record": file.name, "case": case, "output": worst},
        verdict=verdicts[record["verdict"]],
        reason=_apart_reason(record),
    )


def _earlier_proof(file: Path, pair: tuple[ModuleArtifact, FileArtifact]) -> ProofRecord | None:
    """Return the record of an earlier call; None where there is none, or another model or file was
    compared."""
    if not file.is_file():
        return None
    record = read_record(file)
    sides = record["reference"], record["candidate"]
    now = [artifact.record() for artifact in pair]
    same = all(
        (one["files"], one["versions"]) == (other["files"], other["versions"])
        for one, other in zip(sides, now, strict=True)
    )
    return record if same else None


def _apart_reason(record: ProofRecord) -> str | None:
    apart = record["first_apart"]
    return None if apart is None else f"{apart['output']} is apart on {apart['case']}"


def _counted(row: PipelineRow, output: Path) -> PipelineRow:
    """Return an ONNX file's row with its nodes and fusions."""
    if row.format != "onnx" or row.file is None:
        return row
    graph = optimized_graph(output / row.file)
    return replace(row, nodes=graph.nodes, optimized_nodes=graph.optimized_nodes, fused=graph.fused)


def _timed(
    rows: Sequence[PipelineRow],
    cases: Sequence[TimedCase],
    options: PipelineOptions,
    on_stage: StageCallback,
) -> Iterator[PipelineRow]:
    subjects = [subject for row in rows if (subject := _subject(row, cases, options)) is not None]
    found = measure_in_turns(subjects, options.rounds, on_stage)
    for row in rows:
        result = found.get(row.name)
        if isinstance(result, Measured):
            yield replace(row, measured=result)
        else:
            yield replace(row, untimed=result)


def _subject(
    row: PipelineRow, cases: Sequence[TimedCase], options: PipelineOptions
) -> Subject | None:
    if row.format == EAGER:
        return Subject(row.name, EAGER, options.model, cases)
    form = formats_by_name()[row.format]
    if row.file is None or form.proven_by_check:
        return None
    own = [case for case in cases if case.name == AS_EXPORTED] if row.fixed_sizes else cases
    file = str((options.output / row.file).resolve())
    return Subject(row.name, row.format, file, own, form.package_paths())
