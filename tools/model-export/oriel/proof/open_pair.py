"""Opening of the two artifacts of a comparison: how one is opened may depend on the other, since a
checkpoint is run for whatever the other one gives too."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from oriel.contract.activation_names import ModelShape
from oriel.contract.data_files import GraphKind
from oriel.errors import ArchitectureError, CheckpointError, OptionError
from oriel.models.find_checkpoint import DEMO, find_checkpoint
from oriel.models.load_model import load_spec
from oriel.models.weight_files import weight_files
from oriel.modules.named_model import is_model, one_spec
from oriel.proof.artifact import Artifact, Kind
from oriel.proof.bundle_artifact import BundleArtifact, is_bundle
from oriel.proof.checkpoint_artifact import CheckpointArtifact
from oriel.proof.file_artifact import (
    FileArtifact,
    file_suffixes,
    is_file,
    refuse_export_folder,
)
from oriel.proof.module_artifact import ModuleArtifact
from oriel.proof.tensors_artifact import SUFFIXES, TensorsArtifact, is_weights, share_names


def open_pair(
    reference: str, candidate: str, graph: GraphKind | None = None
) -> tuple[Artifact, Artifact]:
    """Return both artifacts. Raises OrielError for a place that is none, and for a pair that has
    nothing to compare.

    graph: the one of a bundle that is the candidate; None for the one with a cache.
    """
    kinds = kind_of_place(reference), kind_of_place(candidate)
    one = _open(reference, kinds[0], kinds[1])
    is_graph = graph is not None and kinds[1] == "bundle"
    other = BundleArtifact(candidate, graph) if is_graph else _open(candidate, kinds[1], kinds[0])
    if isinstance(one, TensorsArtifact) and isinstance(other, TensorsArtifact):
        share_names(one, other)
    return one, other


def kind_of_place(place: str) -> Kind:
    """Return the kind of artifact that a place names. Raises OptionError for none."""
    if is_bundle(place):
        return "bundle"
    if is_weights(place):
        return "tensors"
    if is_file(place):
        return "file"
    path = Path(place)
    if path.is_dir():
        refuse_export_folder(path)
    _refuse_absent_file(path)
    if place == DEMO or is_model(place):
        return "checkpoint"
    if path.is_file() and path.suffix != ".py":
        raise OptionError(
            "the file is no artifact",
            got=place,
            expected="a bundle's folder, an exported file, a checkpoint or path/to/spec.py:NAME",
        )
    return "module"


def _refuse_absent_file(path: Path) -> None:
    """Raise OptionError for a file's name that names nothing: it is no model of the Hub."""
    if not path.exists() and path.name.endswith((*file_suffixes(), *SUFFIXES)):
        raise OptionError("there is no such file", got=str(path), expected="an existing artifact")


def _open(place: str, kind: Kind, other: Kind) -> Artifact:
    by_kind: Mapping[Kind, type[BundleArtifact | FileArtifact | TensorsArtifact]] = {
        "bundle": BundleArtifact,
        "file": FileArtifact,
        "tensors": TensorsArtifact,
    }
    if kind in by_kind:
        return by_kind[kind](place)
    if other == "tensors":
        return TensorsArtifact(place)
    if kind == "checkpoint" and other == "bundle":
        return CheckpointArtifact(place)
    if kind == "checkpoint" and other in ("checkpoint", "file"):
        return _language_model(place) or module_artifact(place)
    return module_artifact(place)


def _language_model(place: str) -> CheckpointArtifact | None:
    """Return a checkpoint that bundles are made of, run on texts; None for any other model, which
    brings its own inputs."""
    try:
        shape = load_spec(find_checkpoint(place).folder).shape
        # A classifier's file has the logits of padding too.
        return None if shape.labels else _checkpoint_of_texts(place, shape)
    except ArchitectureError:
        return None


def _checkpoint_of_texts(place: str, shape: ModelShape) -> CheckpointArtifact | None:
    try:
        return CheckpointArtifact(place)
    except CheckpointError:
        if shape.bidirectional:
            # An encoder with another head than these, or without one.
            return None
        raise


def module_artifact(place: str) -> ModuleArtifact:
    """Return a model's folder, Hub id, `demo` or spec as a module, with its weights' files."""
    named = one_spec(place)
    folder = named.file.parent
    if named.file.suffix == ".py":
        given = named.spec.checkpoint
        return ModuleArtifact(place, named, [] if given is None else [folder / given])
    return ModuleArtifact(place, named, weight_files(folder))
