"""The comparison of two artifacts: both run on the same inputs, output by output."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from oriel import __version__
from oriel.contract.documents import ProofCase, ProofNotCompared, ProofRecord
from oriel.errors import ModuleError, first_few
from oriel.proof.artifact import Artifact, Tensors
from oriel.proof.cases import make_cases
from oriel.proof.compare import (
    Outputs,
    bound_of,
    compare_case,
    first_apart,
    seen_positions,
    verdict_of,
)
from oriel.proof.inputs import Input, ProofInputs, from_record, read_inputs
from oriel.proof.open_pair import open_pair
from oriel.stage_callback import StageCallback

PROOF_VERSION = "1.1"


@dataclass(frozen=True)
class ProofOptions:
    """Choices for a comparison."""

    max_relative: float | None = None
    """Largest relative error allowed; None for that of each output's precision."""
    inputs: tuple[Path, ...] = ()
    """Files with inputs, a case each; none to make them."""


def prove(
    reference: str,
    candidate: str,
    options: ProofOptions,
    on_stage: StageCallback = lambda _: None,
) -> ProofRecord:
    """Compare two artifacts, named as on the command line. Raises OrielError where one can't be
    opened or run, and where they have nothing to compare."""
    on_stage("read both")
    return prove_pair(open_pair(reference, candidate), options, on_stage)


def prove_pair(
    pair: tuple[Artifact, Artifact],
    options: ProofOptions,
    on_stage: StageCallback = lambda _: None,
) -> ProofRecord:
    """Compare two artifacts that are open: reference and candidate."""
    if options.inputs:
        wanted = list(dict.fromkeys(port.name for side in pair for port in side.inputs))
        cases = [read_inputs(file, wanted) for file in options.inputs]
    else:
        cases = make_cases(*pair)
    return _compare(pair, cases, options.max_relative, on_stage)


def prove_again(
    record: ProofRecord,
    places: tuple[str, str] | None = None,
    on_stage: StageCallback = lambda _: None,
) -> ProofRecord:
    """Compare the two artifacts of a record again, on the record's inputs.

    places: where they are now, if not where the record says. Raises OrielError where a file isn't
    the one that was compared, or an input can't be made again.
    """
    sides = record["reference"], record["candidate"]
    on_stage("read both")
    reference, candidate = places or (sides[0]["place"], sides[1]["place"])
    pair = open_pair(reference, candidate, sides[1].get("graph"))
    for artifact, said in zip(pair, sides, strict=True):
        if artifact.precision != said["precision"]:
            raise ModuleError(
                f"{artifact.place} was compared with other weights than its own",
                got=f"those of {said['precision'] or 'float32'}",
                expected="weights as they are stored",
                next_step="verify the bundle again with oriel verify.",
            )
        found = {row["path"]: row["sha256"] for row in artifact.record()["files"]}
        wanted = {row["path"]: row["sha256"] for row in said["files"]}
        changed = sorted(
            name for name in found.keys() | wanted.keys() if found.get(name) != wanted.get(name)
        )
        if changed:
            raise ModuleError(
                f"{artifact.place} is not what was compared",
                got=f"another {first_few(changed)}",
                expected="the files whose digests the record holds",
                next_step="compare the two anew, without --rerun.",
            )
    return _compare(pair, _cases_of(record, pair), record["max_relative"], on_stage)


def _cases_of(record: ProofRecord, pair: tuple[Artifact, Artifact]) -> list[ProofInputs]:
    own = {case.name: case.inputs for artifact in pair for case in artifact.own_cases()}
    cases = []
    for case in record["cases"]:
        # What the reference gives for the case before comes once it has run.
        rows = [row for row in case["inputs"] if row["source"]["kind"] != "output"]
        past = [row["source"]["case"] for row in case["inputs"] if row not in rows]
        files = {row["source"]["file"] for row in rows if row["source"]["kind"] == "file"}
        held = dict(own.get(case["name"], {}))
        for file in files:
            read = read_inputs(Path(file), [row["name"] for row in rows])
            held |= {name: given.tensor for name, given in read.inputs.items()}
        inputs = {row["name"]: from_record(row, held) for row in rows}
        cases.append(ProofInputs(case["name"], inputs, past[0] if past else None))
    return cases


def _compare(
    pair: tuple[Artifact, Artifact],
    cases: Sequence[ProofInputs],
    max_relative: float | None,
    on_stage: StageCallback,
) -> ProofRecord:
    reference, candidate = pair
    shared, left_out = _shared_outputs(reference, candidate)
    first = [case for case in cases if case.past is None]
    rest = [case for case in cases if case.past is not None]
    ran: list[ProofCase] = []
    outputs: dict[str, dict[str, Tensor]] = {}
    bound = bound_of(reference, candidate, max_relative)
    shapes = {port.name: port.shape for port in reference.outputs}
    for group in filter(None, (first, rest)):
        whole = [_with_past(case, outputs) for case in group]
        calls = [{name: given.tensor for name, given in case.inputs.items()} for case in whole]
        on_stage(f"run {reference.place}")
        want = reference.run(calls, shared)
        on_stage(f"run {candidate.place}")
        got = candidate.run(calls, shared)
        for case, ours, theirs in zip(whole, got, want, strict=True):
            outputs[case.name] = theirs
            seen = seen_positions(case)
            ran.append(compare_case(case, Outputs(ours, theirs, bound, seen, shapes)))
    return {
        "format": "oriel-proof",
        "proof_version": PROOF_VERSION,
        "reference": reference.record(),
        "candidate": candidate.record(),
        "max_relative": max_relative,
        "cases": ran,
        "first_apart": first_apart(ran),
        "not_compared": left_out,
        "verdict": verdict_of(ran),
        "versions": {"oriel": __version__, "python": platform.python_version()},
    }


def _with_past(case: ProofInputs, outputs: Mapping[str, Tensors]) -> ProofInputs:
    """Return a case with the cache that the reference made in the case before."""
    if case.past is None:
        return case
    made = {
        f"past_key_values.{name.removeprefix('present.')}": Input(
            tensor, {"kind": "output", "case": case.past, "output": name}
        )
        for name, tensor in outputs[case.past].items()
        if name.startswith("present.")
    }
    return ProofInputs(case.name, {**case.inputs, **made}, case.past)


def _shared_outputs(
    reference: Artifact, candidate: Artifact
) -> tuple[list[str], list[ProofNotCompared]]:
    theirs = {port.name for port in candidate.outputs}
    ours = {port.name for port in reference.outputs}
    shared = [port.name for port in reference.outputs if port.name in theirs]
    if not shared:
        raise ModuleError(
            "the two have no output of one name",
            got=f"{first_few(sorted(ours), 6)} and {first_few(sorted(theirs), 6)}",
            expected="outputs of the same names",
        )
    sides = ((reference, theirs, "the candidate"), (candidate, ours, "the reference"))
    left_out: list[ProofNotCompared] = [
        {"name": port.name, "reason": f"{who} lacks it"}
        for artifact, others, who in sides
        for port in artifact.outputs
        if port.name not in others
    ]
    return shared, left_out
