"""SAELens' layout: a folder with cfg.json and sae_weights.safetensors. The settings are read in
sae_lens_config.py; what they mean for the tensors is in folding.py."""

from __future__ import annotations

from pathlib import Path

from oriel.arrays import Array
from oriel.contract.documents import DictionaryActivation
from oriel.dictionary_layouts.folding import (
    Parts,
    scale_by_decoder,
    scale_decoder,
    scale_input,
    subtract_from_input,
    take_mean_away,
    ungate,
)
from oriel.dictionary_layouts.hook_names import activation_of_hook
from oriel.dictionary_layouts.layout import (
    Converted,
    Layout,
    Request,
    TwoFiles,
    check_features,
    check_fits,
    check_reads,
    takes_mean_away,
)
from oriel.dictionary_layouts.sae_lens_config import SaeLensConfig, parse_config
from oriel.dictionary_layouts.settings_file import read_settings
from oriel.dictionary_layouts.stored_arrays import StoredArrays, safetensors_arrays
from oriel.errors import BundleError, OptionError

_FILES = TwoFiles("cfg.json", "sae_weights.safetensors")
_INPUT_FACTOR = "activation_scaler.json"
_FEATURE_FACTORS = ("finetuning_scaling_factor", "scaling_factor")
"""Names of the tensor of a factor for each decoder row; a file has one of them or none."""


def _file_bytes(request: Request) -> bytes:
    folder = _FILES.folder(request.path)
    config = parse_config(read_settings(folder / _FILES.settings), folder.name)
    reads, writes = _activations(config, request)
    said = f"{config.model_name or 'a model without a name'}, {config.hook or 'no hook'}"
    check_fits(request, reads, config.width_in, said)
    check_fits(request, writes, config.width_out, said)
    check_features(request, config.features)
    centered = takes_mean_away(request, reads, config.centers_stream)
    converted = Converted(
        "transcoder" if config.form.is_transcoder else "sae",
        reads,
        writes,
        config.form.activation,
        _source(config, centered),
        _parts(config, folder, centered).arrays(),
        config.k,
    )
    return converted.file_bytes(request)


def _activations(
    config: SaeLensConfig, request: Request
) -> tuple[DictionaryActivation, DictionaryActivation]:
    """Return the activations that a dictionary reads and writes."""
    reads = _named(config.hook, request)
    if reads["kind"] == "attn_z" and config.changed_heads:
        raise BundleError(
            f"the dictionary {request.path.name} can't be converted exactly",
            got=f"{', '.join(config.changed_heads)}: TransformerLens had changed the heads that it "
            "was trained on",
            next_step="choose one without it; docs/dictionaries.md lists what is supported.",
        )
    if not config.form.is_transcoder:
        return reads, reads
    return reads, activation_of_hook(config.hook_out or "", request.path.name)


def _named(hook: str | None, request: Request) -> DictionaryActivation:
    """Return the activation of a hook, which --reads may stand in for where there is none."""
    if hook is None and request.reads is None:
        raise OptionError(
            f"the dictionary {request.path.name} doesn't say what it reads",
            got=f"no hook_name in {_FILES.settings}",
            expected="--reads KIND:LAYER, such as --reads resid_pre:8",
        )
    if hook is None:
        assert request.reads is not None
        return request.reads
    found = activation_of_hook(hook, request.path.name)
    check_reads(request, found, f", by its hook_name {hook}")
    return found


def _source(config: SaeLensConfig, centered: bool) -> str:
    said = (
        f"SAELens {config.version}" if config.version else "SAELens",
        config.architecture,
        config.model_name,
        config.hook,
        config.hook_out,
        "of a stream without its mean" if centered else None,
    )
    return ", ".join(each for each in said if each)


def _parts(config: SaeLensConfig, folder: Path, centered: bool) -> Parts:
    """Read a dictionary's tensors, and fold into them what the contract has no tensor for, in the
    order in which SAELens computes it."""
    stored = safetensors_arrays(folder / _FILES.weights)
    factors = _check_tensors(stored, config)
    bias = "b_mag" if "b_mag" in config.form.biases else "b_enc"
    threshold = stored.read("threshold") if "threshold" in config.form.biases else None
    encoder, shift, decoder, decoder_bias = map(stored.read, ("W_enc", bias, "W_dec", "b_dec"))
    parts = Parts(encoder, shift, decoder, decoder_bias, threshold)
    if config.scales_input:
        parts = scale_input(parts, _input_factor(folder))
    if bias == "b_mag":
        parts = ungate(parts, stored.read("b_gate"), stored.read("r_mag"))
    if config.subtracts_decoder_bias:
        parts = subtract_from_input(parts, parts.decoder_bias)
    if config.scales_by_decoder:
        parts = scale_by_decoder(parts)
    if factors is not None:
        parts = scale_decoder(parts, factors)
    return take_mean_away(parts) if centered else parts


def _check_tensors(stored: StoredArrays, config: SaeLensConfig) -> Array | None:
    """Check that a file has the tensors of its settings and no others. Return the factors of its
    decoder rows, (features), or None."""
    extra = [name for name in _FEATURE_FACTORS if name in stored.shapes]
    vectors = [*config.form.biases, *extra]
    stored.check(
        {
            "W_enc": (config.width_in, config.features),
            "W_dec": (config.features, config.width_out),
            "b_dec": (config.width_out,),
            **dict.fromkeys(vectors, (config.features,)),
        }
    )
    if not extra:
        if config.scales_features:
            raise stored.unsound(f"no {_FEATURE_FACTORS[0]}", "the tensor that its settings name")
        return None
    factors = stored.read(extra[0])
    # For a time SAELens wrote ones there, whatever the setting.
    if bool((factors == 1).all()):
        return None
    if not config.scales_features or len(extra) > 1:
        raise stored.unsound(f"{extra[0]}, which its settings leave out", "settings that name it")
    return factors


def _input_factor(folder: Path) -> float:
    """Return the number that activations were multiplied with."""
    file = folder / _INPUT_FACTOR
    factor = read_settings(file).get("scaling_factor") if file.is_file() else None
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 < factor < 1e30:
        raise BundleError(
            f"the dictionary {folder.name} can't be converted exactly",
            got=f"activations of average length, but no {_INPUT_FACTOR} with their factor",
            next_step="open it by its release in SAELens, which folds the factor into the weights, "
            "and save it with save_model.",
        )
    return float(factor)


LAYOUT = Layout("SAELens", f"a folder of SAELens with {_FILES}", _FILES.are_in, _file_bytes)
