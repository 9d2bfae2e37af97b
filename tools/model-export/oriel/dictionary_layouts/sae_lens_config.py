"""The settings of a SAELens dictionary: its cfg.json, in the forms that versions 3 to 6 write,
checked and in one form. SAELens reads those before 6 by the same defaults
(`handle_pre_6_0_config`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from oriel.contract.json_value import JsonObject, JsonValue
from oriel.errors import BundleError

Activation = Literal["relu", "jumprelu", "topk"]


@dataclass(frozen=True)
class Architecture:
    """An architecture of SAELens that the contract's three activations express exactly."""

    activation: Activation
    biases: tuple[str, ...] = ("b_enc",)
    """The encoder's vectors, each (features)."""
    is_transcoder: bool = False


ARCHITECTURES: Mapping[str, Architecture] = {
    "standard": Architecture("relu"),
    "topk": Architecture("topk"),
    "jumprelu": Architecture("jumprelu", ("b_enc", "threshold")),
    # Gates and magnitudes share their weights, so that the gate is a threshold.
    "gated": Architecture("jumprelu", ("b_gate", "b_mag", "r_mag")),
    "transcoder": Architecture("relu", is_transcoder=True),
    "jumprelu_transcoder": Architecture("jumprelu", ("b_enc", "threshold"), is_transcoder=True),
}
_SKIPS = (
    "it adds its input to the output through a matrix, which no dictionary of the contract does"
)
_TRAINING = "it is a form for training; SAELens saves the finished one as jumprelu"
REFUSED: Mapping[str, str] = {
    "skip_transcoder": _SKIPS,
    "jumprelu_skip_transcoder": _SKIPS,
    "batchtopk": _TRAINING,
    "matryoshka_batchtopk": _TRAINING,
    "abstopk": "its features may be below 0",
    "matching_pursuit": "its features are chosen one after another",
    "temporal": "its features depend on other tokens",
}
"""{architecture: the reason why it can't be converted}."""
NORMALIZATIONS = {
    "constant_norm_rescale": "it scales each token's activation by its own length",
    "layer_norm": "it normalizes each token's activation by itself",
    "covariance_whitening": "its whitening is in no file of the folder; SAELens saves the finished "
    "one with it folded in",
}
_CHANGE_HEADS = ("fold_value_biases", "refactor_factored_attn_matrices")
_OLD_NAMES = {
    "hook_name": ("hook_point",),
    "hook_head_index": ("hook_point_head_index",),
    "activation_fn": ("activation_fn_str",),
}


@dataclass(frozen=True)
class SaeLensConfig:
    """The settings that decide what a dictionary computes."""

    architecture: str
    width_in: int
    width_out: int
    features: int
    k: int | None
    subtracts_decoder_bias: bool
    """decoder_bias is taken away from the input."""
    scales_by_decoder: bool
    """Features are scaled by the lengths of their decoder rows before the greatest are chosen, and
    rebuild with rows of length 1."""
    scales_input: bool
    """Activations were multiplied with one number, which is in another file."""
    scales_features: bool
    """Decoder rows have a factor each, in a tensor of its own."""
    hook: str | None
    hook_out: str | None
    centers_stream: bool
    """TransformerLens centered the weights that write into the stream."""
    changed_heads: tuple[str, ...]
    """Arguments by which TransformerLens changed the mix of values of its heads."""
    model_name: str | None
    version: str | None

    @property
    def form(self) -> Architecture:
        return ARCHITECTURES[self.architecture]


def parse_config(data: JsonObject, name: str) -> SaeLensConfig:
    """Check the object of a cfg.json. name: the dictionary's in errors.

    Raises BundleError for one that is damaged, or that no file of the contract expresses exactly.
    """
    fields = _Fields(data, name)
    kwargs = fields.object("activation_fn_kwargs")
    architecture = _architecture(fields, kwargs)
    form = ARCHITECTURES[architecture]
    width = fields.size("d_in")
    features = fields.size("d_sae")
    loaded = fields.object("model_from_pretrained_kwargs")
    k = _k(fields, kwargs, features) if form.activation == "topk" else None
    if fields.get("hook_head_index") is not None:
        raise fields.refused("hook_head_index", "it reads one head alone")
    hook, hook_out = fields.text("hook_name"), fields.text("hook_name_out")
    if hook_out and hook_out != hook and not form.is_transcoder:
        why = f"{hook_out[:80]!r}, and {architecture} rebuilds what it reads"
        raise fields.refused("hook_name_out", why)
    return SaeLensConfig(
        architecture=architecture,
        width_in=width,
        width_out=fields.size("d_out") if form.is_transcoder else width,
        features=features,
        k=k,
        # SAELens takes nothing away from a transcoder's input, whatever the setting.
        subtracts_decoder_bias=not form.is_transcoder and fields.flag("apply_b_dec_to_input", True),
        scales_by_decoder=k is not None and fields.flag("rescale_acts_by_decoder_norm", False),
        scales_input=_scales_input(fields, form),
        scales_features=fields.flag("finetuning_scaling_factor", False),
        hook=hook,
        hook_out=hook_out,
        centers_stream=loaded.get("center_writing_weights") is True,
        changed_heads=tuple(name for name in _CHANGE_HEADS if loaded.get(name) is True),
        model_name=fields.text("model_name"),
        version=fields.text("sae_lens_version") or fields.text("sae_lens_training_version"),
    )


class _Fields:
    """The settings of a cfg.json by their names of today, wherever a version puts them."""

    def __init__(self, data: JsonObject, name: str) -> None:
        self.name = name
        inner = data.get("metadata")
        self._parts: tuple[JsonObject, ...] = (data, inner) if isinstance(inner, dict) else (data,)

    def get(self, key: str) -> JsonValue:
        names = (key, *_OLD_NAMES.get(key, ()))
        found = (part.get(each) for part in self._parts for each in names)
        return next((value for value in found if value is not None), None)

    def text(self, key: str) -> str | None:
        value = self.get(key)
        if value is not None and not isinstance(value, str):
            raise self.damaged(key, value, "a text")
        return value

    def flag(self, key: str, default: bool) -> bool:
        value = self.get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.damaged(key, value, "true or false")
        return value

    def size(self, key: str) -> int:
        value = self.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise self.damaged(key, value, "a number of 1 or more")
        return value

    def object(self, key: str) -> JsonObject:
        value = self.get(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise self.damaged(key, value, "an object")
        return value

    def refused(self, setting: str, why: str) -> BundleError:
        """Return the error of a setting that can't be converted."""
        return BundleError(
            f"the dictionary {self.name} can't be converted exactly",
            got=f"{setting}: {why}",
            next_step="choose one without it; docs/dictionaries.md lists what is supported.",
        )

    def damaged(self, key: str, value: JsonValue, expected: str) -> BundleError:
        """Return the error of a setting that has another form than SAELens writes."""
        got = "nothing" if value is None else repr(value)[:60]
        return BundleError(
            f"the cfg.json of {self.name} can't be used",
            got=f"{key}: {got}",
            expected=expected,
            next_step="download it again.",
        )


def _architecture(fields: _Fields, kwargs: JsonObject) -> str:
    """Return a key of ARCHITECTURES. In versions before 6 topk was an activation function."""
    said = fields.text("architecture") or "standard"
    if said in REFUSED:
        raise fields.refused(f"architecture {said}", REFUSED[said])
    if said not in ARCHITECTURES:
        raise fields.refused(f"architecture {said[:40]!r}", f"known: {', '.join(ARCHITECTURES)}")
    function = fields.text("activation_fn") or "relu"
    if function == "topk" and said in ("standard", "topk"):
        if kwargs.get("postact_fn") is not None:
            raise fields.refused("postact_fn", "only relu is known")
        return "topk"
    # In version 6 topk is an architecture, and in the others its function is never another.
    if function != "relu":
        raise fields.refused(f"activation function {function[:40]!r}", f"{said} is known with relu")
    return said


def _k(fields: _Fields, kwargs: JsonObject, features: int) -> int:
    k = kwargs.get("k") if "k" in kwargs else fields.get("k")
    if not isinstance(k, int) or isinstance(k, bool) or not 1 <= k <= features:
        raise fields.damaged("k", k, f"1 to {features}, of its features")
    return k


def _scales_input(fields: _Fields, form: Architecture) -> bool:
    value = fields.get("normalize_activations")
    # Once a flag, and true for what is now called so.
    if value is None or value is False or value == "none":
        return False
    if value is True or value == "expected_average_only_in":
        if form.is_transcoder:
            raise fields.refused("normalize_activations", "of a transcoder it is not known")
        return True
    why = NORMALIZATIONS.get(value) if isinstance(value, str) else None
    raise fields.refused(f"normalize_activations {value!r:.40}", why or "it is not known")
