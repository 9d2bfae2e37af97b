"""Runs `oriel train-dictionary`: collects activations, trains, rounds the tensors to float16,
measures them and writes the dictionary's file."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from oriel.arrays import Array
from oriel.bundle.atomic_folder import write_files_whole
from oriel.contract.documents import DictionaryActivation, DictionaryDescription
from oriel.dictionaries.dictionary_file import Dictionary, dictionary_bytes, parse_dictionary
from oriel.dictionary_layouts.hook_names import read_activation
from oriel.dictionary_layouts.layout import MOST_FEATURES
from oriel.dictionary_training.batch_topk import TrainSettings, train
from oriel.dictionary_training.measure import Baseline, measure_baseline, measure_dictionary
from oriel.dictionary_training.memory import check_memory
from oriel.dictionary_training.named_activations import activation_of, width_of
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
    # Text that names no activation is refused before a model is read or downloaded.
    read_activation("--reads", options.reads)
    if options.writes is not None:
        read_activation("--writes", options.writes)
    display.stage("read the model")
    with open_source(options.model, options.revision, display) as source:
        reads = activation_of("--reads", options.reads, source.shape)
        writes = activation_of("--writes", options.writes or options.reads, source.shape)
        width = width_of(writes, source.shape)
        settings = TrainSettings(
            options.features or _FEATURES_OF_WIDTH * width,
            options.k,
            steps=options.steps,
            seed=options.seed,
        )
        _check_features(settings.features, settings.k)
        widths = [width_of(each, source.shape) for each in (reads, writes)]
        check_memory(settings, widths)
        # An autoencoder's rows are kept once.
        kept = _KEPT_VALUES // (width if reads == writes else sum(widths))
        tokens = options.tokens or min(_TOKENS, kept)
        texts = choose_texts(source.reader, options.text, tokens)
        task = prepare(source, (reads, writes), texts, display)
        dictionary = train_and_measure(task, settings, display, options.out)
    write_files_whole({options.out: dictionary.data}, flag="--out")
    return dictionary.description


@dataclass(frozen=True)
class Task:
    """The activations that dictionaries are trained on, and what these are compared with."""

    source: Source
    reads: DictionaryActivation
    writes: DictionaryActivation
    texts: LensTexts
    rows: tuple[Tensor, Tensor]
    """What is read and what is written, (tokens, width) each."""
    baseline: Baseline


def prepare(
    source: Source,
    activations: tuple[DictionaryActivation, DictionaryActivation],
    texts: LensTexts,
    display: StageDisplay,
) -> Task:
    """Run the model on the texts. activations: what is read and what is written. Raises OptionError
    where a dictionary of them can't be measured."""
    reads, writes = activations
    display.stage("measure the losses to compare with")
    baseline = measure_baseline(source, writes, texts.held_out)
    passages = texts.fitting.ids
    display.stage(f"run the model on {texts.fitting.tokens} tokens")
    report = _reporter(display, "passage", len(passages))
    rows = collect(source, passages, [reads] if reads == writes else [reads, writes], report)
    return Task(source, reads, writes, texts, (rows[0], rows[-1]), baseline)


def train_and_measure(
    task: Task, settings: TrainSettings, display: StageDisplay, file: Path
) -> Dictionary:
    """Train a dictionary and measure it on held-out text. file: path to name in errors. Raises
    OptionError where the activations can't be trained on."""
    display.stage(f"train {settings.features} features of {activation_name(task.reads)}")
    trained = train(*task.rows, settings, _reporter(display, "step", settings.steps))
    source, texts = task.source, task.texts
    description: DictionaryDescription = {
        "kind": "sae" if task.reads == task.writes else "transcoder",
        "weights": source.weights,
        "reads": task.reads,
        "writes": task.writes,
        "features": settings.features,
        "activation": "jumprelu",
        "source": f"oriel train-dictionary: {settings.described()}",
        "seed": settings.seed,
        "trained_on": texts.fitting.to_json(),
    }
    arrays = {name: narrow(values) for name, values in asdict(trained).items()}
    display.stage("measure it on held-out text")
    made = _checked(description, arrays, file, source)
    measured = measure_dictionary(source, made, texts.held_out, task.baseline)
    return _checked({**description, "measured": measured}, arrays, file, source)


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


def narrow(values: torch.Tensor) -> Array:
    """Return a trained tensor in float16, or in float32 where it has numbers beyond float16. Raises
    OptionError where one is not finite."""
    if not bool(torch.isfinite(values).all()):
        raise OptionError(
            "the training ended with numbers that aren't finite",
            got=f"{int((~torch.isfinite(values)).sum())} of {values.numel()} in a tensor",
            expected="finite numbers",
            next_step="train on another activation, or give fewer --steps.",
        )
    half = values.to(torch.float16)
    found: Array = (half if bool(torch.isfinite(half).all()) else values).numpy()
    return found
