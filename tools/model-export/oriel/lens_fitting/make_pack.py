"""Runs `oriel fit-lens`: reads the model and the texts, fits the maps, rounds them to float16,
measures them and writes the pack."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch

from oriel.arrays import Array
from oriel.bundle.atomic_folder import write_files_whole
from oriel.bundle.open_bundle import check_weights, read_open_bundle
from oriel.bundle.write_weights import checkpoint_digest
from oriel.contract.documents import LensDescription, LensDivergence
from oriel.contract.lens_packs import mapped_layers
from oriel.errors import OptionError
from oriel.lens_fitting.fit_jacobian import JacobianSettings, fit_jacobian
from oriel.lens_fitting.fit_tuned import TunedSettings, fit_tuned
from oriel.lens_fitting.streams import Streams, mean_divergence, readout_of, streams_of
from oriel.lens_fitting.texts import LensTexts, TextSizes, choose_texts
from oriel.lenses.bundle_packs import add_pack
from oriel.lenses.pack import LensMap, pack_bytes, parse_pack
from oriel.models.find_checkpoint import find_checkpoint
from oriel.models.load_model import load_model
from oriel.progress import StageDisplay
from oriel.verification.run_reference import Reference

LensKind = Literal["tuned", "jacobian"]


@dataclass(frozen=True, kw_only=True)
class FitOptions:
    """Flags of `oriel fit-lens`; the names match."""

    model: str
    revision: str | None = None
    kind: LensKind = "tuned"
    text: Path | None = None
    output: Path
    bundle: Path | None = None
    """The bundle to put the pack into as well."""
    tokens: int | None = None
    """Maximum number of tokens to fit to; None for the default of the kind."""
    steps: int | None = None
    seed: int = 0


_TOKENS = {"tuned": 16384, "jacobian": 1024}
_STREAMS = 1 << 28
"""Maximum number of stream elements of all layers to keep in memory by default: 1 GiB of
float32."""


def make_pack(options: FitOptions, display: StageDisplay) -> LensDescription:
    """Fit a lens, write its pack, and put it into the bundle. Return the pack's description. Raises
    OrielError for errors that the user can fix; those of the bundle are found before the fit."""
    if options.bundle is not None:
        read_open_bundle(options.bundle)
    display.stage("read the model")
    model = load_model(find_checkpoint(options.model, options.revision, display))
    weights = checkpoint_digest(model.checkpoint)
    if options.bundle is not None:
        check_weights(options.bundle, model.name, weights)
    if model.shape.bidirectional:
        raise OptionError(
            "a lens is fitted to predictions of the next token, and this model makes none",
            got=model.name,
            expected="a model that continues texts",
            next_step="read its layers through the logit lens, which its bundle has.",
        )
    if model.shape.layers < 2:
        raise OptionError(
            "a lens reads the layers before the last one, and this model has one layer",
            got=model.name,
            expected="two layers or more",
        )
    held = _STREAMS // (model.shape.layers * model.shape.hidden)
    texts = choose_texts(
        model,
        options.text,
        TextSizes(options.tokens or min(held, _TOKENS[options.kind]), min(held, 4096)),
    )
    reference = Reference(model)
    maps, method = _fitted(options, reference, texts, display)
    display.stage("measure it on held-out text")
    description: LensDescription = {
        "kind": options.kind,
        "weights": weights,
        "fitted": {
            "text": texts.fitting.to_json(),
            "held_out": texts.held_out.to_json(),
            "method": method,
            "seed": options.seed,
            "kl": measured(reference, streams_of(reference, texts.held_out), options.kind, maps),
        },
    }
    data = pack_bytes(description, dict(zip(mapped_layers(model.shape), maps, strict=True)))
    # Check the pack as readers do before it is written.
    parse_pack(data, options.output, model.shape, description["weights"])
    write_files_whole({options.output: data})
    if options.bundle is not None:
        add_pack(options.bundle, options.output)
    return description


def measured(
    reference: Reference, streams: Streams, kind: LensKind, maps: Sequence[LensMap]
) -> list[LensDivergence]:
    """Return each layer's mean KL divergence from the model, for the logit lens and for its map."""
    readout = readout_of(reference)
    rows: list[LensDivergence] = []
    for layer, (stream, each) in enumerate(zip(streams.layers, maps, strict=True)):
        mapped = stream @ _wide(each.weight)
        if each.bias is not None:
            mapped = mapped + _wide(each.bias)
        if kind == "tuned":
            mapped = stream + mapped
        logit = mean_divergence(readout, stream, streams.final)
        rows.append(
            {
                "layer": layer,
                "logit": float(f"{logit:.6g}"),
                "lens": float(f"{mean_divergence(readout, mapped, streams.final):.6g}"),
            }
        )
    return rows


def _fitted(
    options: FitOptions, reference: Reference, texts: LensTexts, display: StageDisplay
) -> tuple[list[LensMap], str]:
    """Return the maps in float16, and a description of the method."""
    layers = reference.shape.layers
    if options.kind == "jacobian":
        estimate, count = JacobianSettings(), len(texts.fitting.ids)
        jacobians = fit_jacobian(
            reference,
            texts.fitting,
            estimate,
            lambda number: display.stage(f"differentiate passage {number} of {count}"),
        )
        return [LensMap(_narrow(each), None) for each in jacobians], estimate.described()
    settings = TunedSettings(steps=options.steps or TunedSettings.steps, seed=options.seed)
    display.stage(f"run the model on {texts.fitting.tokens} tokens")
    streams = streams_of(reference, texts.fitting)
    affine = fit_tuned(
        streams,
        readout_of(reference),
        settings,
        lambda layer: display.stage(f"fit layer {layer} of {layers - 1}"),
    )
    maps = [LensMap(_narrow(weight), _narrow(bias)) for weight, bias in affine]
    return maps, settings.described()


def _narrow(values: torch.Tensor) -> Array:
    narrow = values.to(torch.float16)
    if not bool(torch.isfinite(narrow).all()):
        raise OptionError(
            "the fit found numbers beyond float16",
            got=f"{float(values.abs().max()):.3g}",
            next_step="give more text, or fewer --steps.",
        )
    found: Array = narrow.numpy()
    return found


def _wide(values: Array) -> torch.Tensor:
    return torch.from_numpy(values.astype("float32"))
