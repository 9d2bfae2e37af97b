"""The cases of a comparison: what the artifacts bring themselves, texts for models that read them,
and values drawn within the ranges that a file tells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from oriel.errors import ModuleError, first_few
from oriel.proof.artifact import Artifact, Tensors
from oriel.proof.inputs import ProofInputs, drawn, listed
from oriel.proof.text_cases import reads_text, text_cases

_SEED = 20_112


def make_cases(one: Artifact, other: Artifact) -> list[ProofInputs]:
    """Return the inputs on which two artifacts are compared. Raises OrielError where they take
    different inputs, and where nothing says which values they take."""
    for artifact in (one, other):
        if artifact.own_cases():
            _check_same_inputs(one, other)
            return _own_cases(artifact, (one, other))
    if reads_text(one) and reads_text(other):
        return text_cases(one, other)
    _check_same_inputs(one, other)
    return list(_drawn_cases(one, other))


def _check_same_inputs(one: Artifact, other: Artifact) -> None:
    if "tensors" in (one.kind, other.kind) and one.kind != other.kind:
        raise ModuleError(
            "a file of weights holds no program",
            got=f"{one.place} and {other.place}",
            expected="weights with weights, or with a checkpoint's folder",
        )
    names = [{port.name for port in artifact.inputs} for artifact in (one, other)]
    if names[0] != names[1]:
        raise ModuleError(
            "the two take different inputs",
            got=f"{first_few(sorted(names[0]), 6)} and {first_few(sorted(names[1]), 6)}",
            expected="inputs of the same names",
        )
    shapes = {port.name: port.shape for port in other.inputs}
    for port in one.inputs:
        if len(port.shape) != len(shapes[port.name]):
            raise ModuleError(
                f"the two take {port.name} with another number of axes",
                got=f"{list(port.shape)} and {list(shapes[port.name])}",
                expected="as many axes in both",
            )


def _own_cases(artifact: Artifact, both: Sequence[Artifact]) -> list[ProofInputs]:
    """Return those of an artifact's own inputs whose sizes both take. Raises ModuleError for
    none."""
    own = artifact.own_cases()
    known = [case for case in own if all(_fits(case.inputs, side) for side in both)]
    if not known:
        raise ModuleError(
            "a file takes other sizes than those of the module's own inputs",
            got=", ".join(case.name for case in own),
            expected="an input of the sizes that the file was written for",
            next_step="give one with --inputs FILE.safetensors.",
        )
    return [
        ProofInputs(
            case.name,
            {
                name: listed(tensor, {"kind": "reference", "case": case.name})
                for name, tensor in case.inputs.items()
            },
        )
        for case in known
    ]


def _fits(inputs: Tensors, artifact: Artifact) -> bool:
    return all(
        isinstance(size, str) or size == there
        for port in artifact.inputs
        for size, there in zip(port.shape, inputs[port.name].shape, strict=True)
    )


def _drawn_cases(one: Artifact, other: Artifact) -> Iterator[ProofInputs]:
    """Yield three cases of other sizes on the dynamic axes; sizes of one axis differ from those of
    another, so that a swapped axis shows. A size that one of the two fixes is the same in all."""
    theirs = {port.name: port.shape for port in other.inputs}
    names = [size for port in one.inputs for size in port.shape if isinstance(size, str)]
    axes = list(dict.fromkeys(names))
    fixed = {
        size: there
        for port in one.inputs
        for size, there in zip(port.shape, theirs[port.name], strict=True)
        if isinstance(size, str) and isinstance(there, int)
    }
    for count, base in enumerate((2, 5, 1)):
        sizes = {axis: base + (at if base > 1 else 0) for at, axis in enumerate(axes)} | fixed
        told = ", ".join(f"{axis} {size}" for axis, size in sizes.items() if axis not in fixed)
        inputs = {}
        for at, port in enumerate(one.inputs):
            shape = [sizes[size] if isinstance(size, str) else size for size in port.shape]
            inputs[port.name] = drawn(port, shape, _SEED + 100 * count + at)
        yield ProofInputs(f"values drawn, {told or count + 1}", inputs)
