"""Results of verification as verification.json: checks, and for each graph that was run a record
of its comparison with the checkpoint."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch

from oriel import __version__
from oriel.bundle.atomic_folder import write_files_whole
from oriel.contract.activation_contract import check_major, check_schema
from oriel.contract.data_files import GraphKind
from oriel.contract.documents import (
    ProofArtifact,
    ProofCase,
    ProofNotCompared,
    ProofOutput,
    ProofRecord,
    VerificationCheck,
    VerificationRecord,
    VerifiedVariant,
)
from oriel.contract.manifest import VERIFICATION
from oriel.contract.strict_json import read_json
from oriel.errors import OptionError
from oriel.proof.bundle_artifact import BundleArtifact
from oriel.proof.checkpoint_artifact import CheckpointArtifact
from oriel.proof.compare import first_apart, verdict_of
from oriel.proof.inputs import listed
from oriel.proof.prove import PROOF_VERSION
from oriel.verification.report import Check, Measured, MeasuredCase, Report, VariantReport

VERIFICATION_VERSION = "2.0"
CACHED: tuple[GraphKind, ...] = ("decoder", "interactive")
"""The graphs with a cache, of which a variant has one."""


def verification_record(report: Report, folder: Path) -> VerificationRecord:
    """Return the record of a bundle in a folder, held to its schema."""
    record: VerificationRecord = {
        "format": "oriel-verification",
        "verification_version": VERIFICATION_VERSION,
        "verdict": "passed" if report.passed else "failed",
        "failures": report.failures,
        "model": report.model,
        "weights_digest": report.weights_digest,
        "checks": [_check(check) for check in report.checks],
        "variants": [_variant(report, variant, folder) for variant in report.variants],
        "versions": report.versions,
        "seed": report.seed,
        "seconds": round(report.seconds, 2),
    }
    return check_verification(record, "the record")


def check_verification(data: object, what: str) -> VerificationRecord:
    """Return a record. Raises ContractError for another major version, such as the 1.0 that held no
    comparisons, and for a document that breaks its schema."""
    next_step = "verify the bundle again."
    check_major(data, ("verification_version", "2"), what, next_step)
    check_schema("verification", data, what)
    return cast(VerificationRecord, data)


def read_verification(file: Path) -> VerificationRecord:
    """Return the record in a file. Raises ContractError for none."""
    return check_verification(read_json(file.read_bytes(), file.name), file.name)


def proof_in(place: str) -> ProofRecord | None:
    """Return the record that FILE:VARIANT or FILE:VARIANT:GRAPH names in a verification.json; by
    default that of the graph with a cache. None for a place that names no part of a file. Raises
    OptionError for a part that the file lacks."""
    name, _, rest = place.partition(f"{VERIFICATION}:")
    file = Path(f"{name}{VERIFICATION}")
    if not rest or not file.is_file():
        return None
    variant, _, graph = rest.partition(":")
    found = {
        f"{each['name']}:{proof['candidate'].get('graph')}": proof
        for each in read_verification(file)["variants"]
        for proof in each["proofs"]
    }
    wanted = [f"{variant}:{graph}"] if graph else [f"{variant}:{kind}" for kind in CACHED]
    for key in wanted:
        if key in found:
            return found[key]
    raise OptionError(
        f"{file.name} has no such comparison", got=rest, expected=f"one of {', '.join(found)}"
    )


def write_verification(record: VerificationRecord, file: Path) -> None:
    """Write a record, whole or not at all."""
    text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    write_files_whole({file: text.encode()})


def _check(check: Check) -> VerificationCheck:
    row: VerificationCheck = {"name": check.name, "verdict": check.verdict}
    if check.error is not None:
        row["error"] = _finite(check.error)
    if check.bound is not None:
        row["bound"] = check.bound
    if check.detail:
        row["detail"] = check.detail
    return row


def _variant(report: Report, variant: VariantReport, folder: Path) -> VerifiedVariant:
    graphs = list(dict.fromkeys(case.graph for case in variant.cases))
    return {
        "name": variant.name,
        "precision": variant.precision,
        "reference_weights": "variant" if variant.rounded else "checkpoint",
        "checks": [_check(check) for check in variant.checks],
        "proofs": [_proof(report, variant, graph, folder) for graph in graphs],
    }


def _proof(report: Report, variant: VariantReport, graph: GraphKind, folder: Path) -> ProofRecord:
    artifact = BundleArtifact(f"{folder}:{variant.name}", graph)
    order = [port.name for port in artifact.outputs]
    cases = [_case(case, order) for case in variant.cases if case.graph == graph]
    measured = {output["name"] for case in cases for output in case["outputs"]}
    missing: list[ProofNotCompared] = [
        {"name": row.name, "reason": "the graph didn't give it"}
        for row in variant.activations
        if row.graph == graph and row.name not in measured
    ]
    return {
        "format": "oriel-proof",
        "proof_version": PROOF_VERSION,
        "reference": _reference(report, variant),
        # A folder's path is of one machine; the record lies in the folder itself.
        "candidate": {**artifact.record(), "place": f"{report.model}:{variant.name}"},
        "max_relative": None,
        "cases": cases,
        "first_apart": first_apart(cases),
        "not_compared": missing,
        "verdict": verdict_of(cases),
        "versions": {"oriel": __version__, "python": platform.python_version()},
    }


def _reference(report: Report, variant: VariantReport) -> ProofArtifact:
    assert report.loaded is not None, "a comparison has a checkpoint"
    record = CheckpointArtifact(report.loaded.name, report.loaded).record()
    precision = variant.precision if variant.rounded else None
    return {**record, "precision": precision}


def _case(measured: MeasuredCase, order: Sequence[str]) -> ProofCase:
    ids = listed(torch.from_numpy(measured.ids), {"kind": "reference"})
    names = sorted(measured.rows, key=order.index)
    outputs = [_output(name, measured.rows[name]) for name in names]
    inputs = [ids.to_json("input_ids")]
    return {"name": f"{measured.case} tokens", "inputs": inputs, "outputs": outputs}


def _output(name: str, row: Measured) -> ProofOutput:
    found = row.found
    finite = math.isfinite(found.absolute)
    return {
        "name": name,
        "shape": list(row.sizes),
        "dtypes": [row.dtype, row.dtype],
        "absolute": _finite(found.absolute),
        "relative": _finite(found.relative),
        "norm_ratio": found.norm_ratio,
        "bound": row.bound,
        "measure": row.measure,
        "norm": _finite(found.norm),
        "passed": row.error <= row.bound,
        "problem": None if finite else "another shape, or numbers that aren't finite",
    }


def _finite(value: float) -> float | None:
    # JSON knows no infinity; `passed`, a verdict or a problem says what it was.
    return value if math.isfinite(value) else None
