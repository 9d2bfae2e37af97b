"""The model whose activations are trained on: a checkpoint in PyTorch, or an exported bundle in
ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from oriel.arrays import Array
from oriel.bundle.write_weights import checkpoint_digest
from oriel.contract.activation_names import ModelShape
from oriel.contract.manifest import MANIFEST, bundle_folder
from oriel.errors import OptionError
from oriel.lens_fitting.texts import MAX_PASSAGE_TOKENS, TextReader, reader_of
from oriel.models.find_checkpoint import find_checkpoint
from oriel.models.load_model import load_model
from oriel.progress import StageDisplay
from oriel.runtime.bundle import Bundle
from oriel.runtime.edits import Edit
from oriel.tokenizers.passage_start import passage_start
from oriel.verification.run_reference import Reference

Run = Callable[[Array, Collection[str], Sequence[Edit]], dict[str, Array]]
"""Runs the model on ids (batch, seq), with edits, and returns the named activations."""


@dataclass(frozen=True)
class Source:
    """A model that can be run on texts."""

    name: str
    shape: ModelShape
    weights: str
    """weights_digest of the manifest."""
    reader: TextReader
    run: Run


@contextmanager
def open_source(model: str, revision: str | None, display: StageDisplay) -> Iterator[Source]:
    """Open a bundle by its folder, or else a checkpoint: a Hub id, a folder, or demo. Raises
    OrielError where there is none, or the model can't be trained on."""
    purpose = "a dictionary is trained on"
    if _is_bundle(model):
        if revision is not None:
            raise OptionError(
                "--revision is of the Hub's models, and this is a bundle",
                got=model,
                next_step="leave --revision out.",
            )
        with Bundle(bundle_folder(Path(model))) as bundle:
            _check_predicts(bundle.shape, model)
            yield _bundle_source(bundle, model)
        return
    loaded = load_model(find_checkpoint(model, revision, display))
    _check_predicts(loaded.shape, loaded.name)
    reader = reader_of(loaded, purpose)
    reference = Reference(loaded)
    digest = checkpoint_digest(loaded.checkpoint)
    yield Source(loaded.name, loaded.shape, digest, reader, reference.run)


def _is_bundle(model: str) -> bool:
    path = Path(model)
    return (path / MANIFEST).is_file() or (path.suffix == ".onnx" and path.is_file())


def _bundle_source(bundle: Bundle, name: str) -> Source:
    """Return a bundle as a source. Raises OptionError if it has no tokenizer."""
    manifest, shape = bundle.manifest.data, bundle.shape
    if "tokenizer" not in manifest:
        raise OptionError(
            "a dictionary is trained on text, and this bundle has no tokenizer",
            got=name,
            next_step="export the model again from a checkpoint that has its tokenizer's files.",
        )
    longest = min(shape.context_length, MAX_PASSAGE_TOKENS)
    reader = TextReader(bundle.tokenizer, passage_start(manifest), longest, shape.vocab)

    def run(ids: Array, names: Collection[str], edits: Sequence[Edit] = ()) -> dict[str, Array]:
        inner = [name for name in names if name != "logits"]
        found = bundle.run(ids, inner, edits, logits=None if "logits" in names else 0)
        return {name: np.asarray(found[name]) for name in names}

    return Source(name, shape, manifest["model"]["weights_digest"], reader, run)


def _check_predicts(shape: ModelShape, name: str) -> None:
    if shape.bidirectional:
        raise OptionError(
            "a dictionary is measured by predictions of the next token, and this model makes none",
            got=name,
            expected="a model that continues texts",
        )
