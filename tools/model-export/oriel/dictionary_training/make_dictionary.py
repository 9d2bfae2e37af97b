"""Runs `oriel train-dictionary`: collects activations, trains, rounds the tensors to float16,
measures them and writes the dictionary's file."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from oriel.arrays import Array
from oriel.bundle.atomic_folder import write_files_whole
from oriel.contract.documents import DictionaryActivation, DictionaryDescription
from oriel.dictionaries.dictionary_file import Dictionary, dictionary_bytes, parse_dictionary
from oriel.dictionary_training.batch_topk import TrainSettings, train
from oriel.dictionary_training.measure import measure_baseline, measure_dictionary
from oriel.dictionary_training.named_activations import parse_activation, width_of
from oriel.dictionary_training.parts import Trained
from oriel.dictionary_training.passes import activation_name, collect
from oriel.dictionary_training.source import Source, open_source
from oriel.dictionary_training.texts import choose_texts
from oriel.errors import BundleError, OptionError
from oriel.lens_fitting.texts import LensTexts
from oriel.progress import StageDisplay


@dataclass(frozen=True, kw_only=True)
class DictionaryOptions:
    """Flags of `oriel train-dictionary`; the names match."""

    model: str
    """A bundle's folder, a Hub id, a checkpoint's folder, or demo."""
    revision: str | None = None
    reads: str
    """An activation as KIND:LAYER."""
    writes: str | None = None
    """None for what it reads, which makes a sparse autoencoder."""
    features: int | None = None
    """None for four times the width of what is written."""
    k: int = 16
    tokens: int | None = None
    """Maximum number of tokens to train on."""
    steps: int = TrainSettings.steps
    seed: int = 0
    text: Path | None = None
    out: Path


MOST_FEATURES = 1 << 20
"""Largest number of features of a dictionary, by the contract."""
_FEATURES_OF_WIDTH = 4
_TOKENS = 200_000
_KEPT_VALUES = 1 << 26
"""Maximum number of values of activations to keep in memory by default: 256 MiB of float32."""
_REPORTS = 10
"""Number of times that progress is reported in each part of the work."""


def make_dictionary(options: DictionaryOptions, display: StageDisplay) -> DictionaryDescription:
    """Train a dictionary and write its file. Return its description.

    Raises OrielError for errors that the user can fix; those of the arguments, the text and the
    place for the file are found before the training. The file is written whole or not at all.
    """
    _check_place(options.out)
    if options.features is not None:
        _check_features(options.features, options.k)
    display.stage("read the model")
    with open_source(options.model, options.revision, display) as source:
        dictionary = _trained(options, source, display)
    write_files_whole({options.out: dictionary.data})
    return dictionary.description


def _trained(options: DictionaryOptions, source: Source, display: StageDisplay) -> Dictionary:
    reads = parse_activation(options.reads, source.shape, "--reads")
    writes = parse_activation(options.writes or options.reads, source.shape, "--writes")
    widths = width_of(reads, source.shape), width_of(writes, source.shape)
    features = options.features or _FEATURES_OF_WIDTH * widths[1]
    _check_features(features, options.k)
    settings = TrainSettings(features, options.k, steps=options.steps, seed=options.seed)
    tokens = options.tokens or min(_TOKENS, _KEPT_VALUES // sum(widths))
    texts = choose_texts(source.reader, options.text, tokens)
    display.stage("measure the losses to compare with")
    baseline = measure_baseline(source, writes, texts.held_out)
    trained = _train(source, (reads, writes), texts, settings, display)
    description: DictionaryDescription = {
        "kind": "sae" if reads == writes else "transcoder",
        "weights": source.weights,
        "reads": reads,
        "writes": writes,
        "features": features,
        "activation": "jumprelu",
        "source": f"oriel train-dictionary: {settings.described()}",
        "seed": options.seed,
        "trained_on": texts.fitting.to_json(),
    }
    arrays = {name: _narrow(values) for name, values in asdict(trained).items()}
    display.stage("measure it on held-out text")
    made = _checked(description, arrays, options.out, source)
    measured = measure_dictionary(source, made, texts.held_out, baseline)
    return _checked({**description, "measured": measured}, arrays, options.out, source)


def _train(
    source: Source,
    activations: tuple[DictionaryActivation, DictionaryActivation],
    texts: LensTexts,
    settings: TrainSettings,
    display: StageDisplay,
) -> Trained:
    reads, writes = activations
    passages = texts.fitting.ids
    display.stage(f"run the model on {texts.fitting.tokens} tokens")
    report = _reporter(display, "passage", len(passages))
    rows = collect(source, passages, [reads] if reads == writes else [reads, writes], report)
    display.stage(f"train {settings.features} features of {activation_name(reads)}")
    return train(rows[0], rows[-1], settings, _reporter(display, "step", settings.steps))


def _reporter(display: StageDisplay, what: str, count: int) -> Callable[[int], None]:
    """Return a function that reports some of the numbers, from 1 to the count, that it gets."""
    reported = 0

    def report(number: int) -> None:
        nonlocal reported
        if number * _REPORTS // count > reported * _REPORTS // count:
            display.stage(f"{what} {number} of {count}")
            reported = number

    return report


def _checked(
    description: DictionaryDescription, arrays: dict[str, Array], file: Path, source: Source
) -> Dictionary:
    """Return the dictionary as readers of its file will have it."""
    data = dictionary_bytes(description, arrays)
    return parse_dictionary(data, file, source.shape, source.weights)


def _check_place(out: Path) -> None:
    """Raise BundleError where the file can't be written, before hours of work."""
    folder = out.parent
    if out.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise BundleError(
            "--out can't be written",
            got=f"{out}, a folder" if out.is_dir() else str(out),
            expected="a file in a folder that is there and can be written",
            next_step="choose another place with --out.",
        )


def _check_features(features: int, k: int) -> None:
    if features > MOST_FEATURES:
        raise OptionError(
            "--features is too large", got=str(features), expected=f"at most {MOST_FEATURES}"
        )
    if k > features:
        raise OptionError(
            "--k is larger than the number of features",
            got=f"{k} of {features} features",
            expected=f"1 to {features}",
            next_step="give a smaller --k or a larger --features.",
        )


def _narrow(values: torch.Tensor) -> Array:
    narrow = values.to(torch.float16)
    if not bool(torch.isfinite(narrow).all()):
        raise OptionError(
            "the training found numbers beyond float16",
            got=f"{float(values.abs().max()):.3g}",
            next_step="train on another activation, or give fewer --steps.",
        )
    found: Array = narrow.numpy()
    return found
