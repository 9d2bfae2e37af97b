"""The measurement: the text, the reference once, then every variant beside it. What a figure is
stands in distributions.py and activations.py, what is allowed in bounds.json."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from oriel.arrays import logits_rows
from oriel.bundle.passages import Passages
from oriel.contract.activation_names import LENS_KINDS, TensorSpec, all_activations, parse_name
from oriel.contract.documents import Variant
from oriel.contract.manifest import Manifest
from oriel.errors import BundleError, OptionError
from oriel.fidelity.activations import LEFT_OUT, ActivationSums
from oriel.fidelity.agreement_curve import AgreementCurve, agreement_curve
from oriel.fidelity.choose_text import Effort, choose_text
from oriel.fidelity.distributions import Predictions
from oriel.fidelity.fidelity_bounds import fidelity_bounds
from oriel.fidelity.label_distributions import LabelDistributions, label_distributions
from oriel.fidelity.record import Fidelity
from oriel.fidelity.reference_values import (
    ReferenceModel,
    ReferenceValues,
    TrunkReference,
    observe,
)
from oriel.fidelity.run_variant import VariantRun, scratch_folder
from oriel.precision.calibration.calibration_text import calibration_passages
from oriel.runtime.weight_folders import WeightFolders
from oriel.tokenizers.open_tokenizer import open_tokenizer
from oriel.tokenizers.passage_start import passage_start

EFFORT = Effort()
TRUNK = "fp32"
"""The variant whose graph and weights are the float32 model itself."""


@dataclass(frozen=True)
class Measurement:
    """A text, the reference's values for it, and a bundle whose variants are compared with them."""

    manifest: Manifest
    folders: WeightFolders
    values: ReferenceValues
    curve: AgreementCurve
    labels: LabelDistributions | None = None
    """Of a classifier; None of a language model."""

    def of(self, variant: Variant) -> Fidelity:
        """Measure one variant; its graph is opened twice, as a reader has it and with taps."""
        bounds = fidelity_bounds(variant["precision"])
        values, shape = self.values, self.manifest.shape
        predictions = Predictions()
        run = VariantRun(variant, shape, self.folders)
        for index, ids in enumerate(values.passages.ids):
            got = run.run(values.ids(index), ["logits"])["logits"]
            pair = values.logits(index), logits_rows(got)[0]
            if self.labels is None:
                predictions.add(ids, *pair)
            else:
                predictions.add(None, *map(self.labels.of, pair))
        del run
        sums = ActivationSums(values.specs, shape)
        if values.with_activations:
            names = list(values.specs)
            run = VariantRun(variant, shape, self.folders, names)
            for index in range(values.with_activations):
                found = run.run(values.ids(index), names)
                for name, want in values.activations(index).items():
                    sums.add(name, want, found[name])
        return Fidelity(
            values.kind,
            values.passages.to_json(),
            predictions.kl_mean,
            predictions.kl_p99,
            predictions.top1,
            predictions.top5,
            predictions.perplexity,
            predictions.reference_perplexity,
            sums.results(),
            self.curve.fair(bounds, predictions.top1),
        )


@contextmanager
def prepare(
    manifest: Manifest,
    folder: Path,
    variants: Sequence[Variant],
    open_reference: Callable[[], ReferenceModel] | None,
    text: Path | None = None,
    effort: Effort = EFFORT,
    on_stage: Callable[[str], None] = lambda _: None,
) -> Iterator[Measurement]:
    """Choose a text that the variants weren't calibrated on, and run the reference over it; None:
    the bundle's own fp32 graph."""
    with scratch_folder() as scratch:
        folders = WeightFolders(folder, scratch)

        def open_trunk(tapped: Sequence[str] = ()) -> VariantRun:
            return VariantRun(_trunk(manifest), manifest.shape, folders, tapped)

        trunk = TrunkReference(open_trunk)
        passages = choose_text(manifest, folder, text, effort, trunk.opened)
        check_not_calibrated_on(variants, _as_passages(manifest, folder, text, passages))
        by = "the fp32 graph" if open_reference is None else "PyTorch"
        on_stage(f"run {by} over {passages.tokens} tokens of {passages.name}")
        specs = _compared(manifest, effort)
        if open_reference is None:
            values = observe(trunk, passages, specs, effort.activations, scratch)
        else:
            # The graph is needed at most to write the text: only one model stays in memory.
            trunk.close()
            values = observe(open_reference(), passages, specs, effort.activations, scratch)
        trunk.close()
        every = range(len(passages.ids))
        classifier = manifest.data["model"].get("classifier")
        labels = None
        if classifier is not None:
            labels = label_distributions(classifier["problem"], map(values.logits, every))
        logits = map(values.logits, every)
        curve = agreement_curve(logits if labels is None else map(labels.of, logits))
        yield Measurement(manifest, folders, values, curve, labels)


def _trunk(manifest: Manifest) -> Variant:
    for variant in manifest.variants:
        if variant["name"] == TRUNK:
            return variant
    raise BundleError(
        "the bundle has no fp32 variant to measure others by",
        got=", ".join(v["name"] for v in manifest.variants),
        next_step="export it again.",
    )


def _compared(manifest: Manifest, effort: Effort) -> list[TensorSpec]:
    left_out = {*LEFT_OUT, *(() if effort.lens else LENS_KINDS)}
    parsed = [(spec, parse_name(spec.name)) for spec in all_activations(manifest.shape)]
    return [spec for spec, found in parsed if found and found[0].kind not in left_out]


def chosen_variants(manifest: Manifest, names: Sequence[str] | None) -> list[Variant]:
    """Return all variants, or those named, in the manifest's order."""
    known = [variant["name"] for variant in manifest.variants]
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise OptionError(
            "--variants names what the bundle doesn't have",
            got=", ".join(map(repr, unknown)),
            expected=f"some of {', '.join(known)}",
            next_step="separate them by commas, or export them first.",
        )
    return [v for v in manifest.variants if names is None or v["name"] in names]


def check_not_calibrated_on(variants: Sequence[Variant], readings: Sequence[Passages]) -> None:
    """OptionError where a variant was calibrated on this very text: it would look better than it
    is. readings: the text as it is measured, and as calibration would have cut it."""
    digests = {passages.digest for passages in readings}
    for variant in variants:
        calibration = variant.get("calibration")
        if calibration is not None and calibration["text"]["digest"] in digests:
            raise OptionError(
                f"{variant['name']} was calibrated on this very text",
                got=readings[0].name,
                expected="text that it was not calibrated on",
                next_step="give another --text, or leave it out for the held-out passages.",
            )


def _as_passages(
    manifest: Manifest, folder: Path, text: Path | None, passages: Passages
) -> list[Passages]:
    if text is None:
        return [passages]
    tokenizer = open_tokenizer(folder / manifest.data["tokenizer"]["tokenizer"])
    start = passage_start(manifest.data)
    return [passages, calibration_passages(manifest.shape, tokenizer, start, text)]
