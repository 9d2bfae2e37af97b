"""Gemma Scope 2's layout: a folder with config.json and params.safetensors, a JumpReLU SAE. Its
transcoders read a normalized stream, for which the contract has no name."""

from __future__ import annotations

import re
from pathlib import Path

from oriel.contract.documents import DictionaryActivation
from oriel.dictionary_layouts.hook_names import dictionary_activation, unnamed_activation
from oriel.dictionary_layouts.jumprelu import LOWER, jumprelu_sae
from oriel.dictionary_layouts.layout import Layout, Request, TwoFiles, check_reads
from oriel.dictionary_layouts.settings_file import read_settings
from oriel.dictionary_layouts.stored_arrays import safetensors_arrays
from oriel.errors import BundleError

_FILES = TwoFiles("config.json", "params.safetensors")
_KINDS = {
    "output": "resid_post",
    "self_attn.o_proj.input": "attn_z",
    "post_feedforward_layernorm.output": "mlp_output",
}
"""{place in a layer, as transformers names its modules: kind}."""
_HOOK = re.compile(r"model\.layers\.(0|[1-9][0-9]{0,3})\.([a-z_.]{1,60})")


def _file_bytes(request: Request) -> bytes:
    folder = _FILES.folder(request.path)
    settings = read_settings(folder / _FILES.settings)
    architecture = settings.get("architecture")
    if architecture != "jump_relu" or settings.get("hf_hook_point_out") is not None:
        raise BundleError(
            f"the dictionary {folder.name} can't be converted exactly",
            got=f"a transcoder or the architecture {str(architecture)[:40]!r}",
            expected="an SAE with the architecture 'jump_relu'",
            next_step="choose another; docs/dictionaries.md lists what is supported.",
        )
    hook = settings.get("hf_hook_point_in")
    reads = _reads(str(hook), request, folder)
    model = settings.get("model_name")
    source = ", ".join(["Gemma Scope 2", *([model] if isinstance(model, str) else []), str(hook)])
    stored = safetensors_arrays(folder / _FILES.weights)
    return jumprelu_sae(stored, LOWER, request, reads, source).file_bytes(request)


def _reads(hook: str, request: Request, folder: Path) -> DictionaryActivation:
    found = _HOOK.fullmatch(hook)
    kind = _KINDS.get(found.group(2)) if found else None
    if found is None or kind is None:
        raise unnamed_activation(
            folder.name, hook, f"model.layers.L. and one of {', '.join(_KINDS)}"
        )
    reads = dictionary_activation(kind, int(found.group(1)))
    check_reads(request, reads, f", by its {_FILES.settings}")
    return reads


LAYOUT = Layout(
    "Gemma Scope 2",
    f"a folder of Gemma Scope 2 with {_FILES}",
    _FILES.are_in,
    _file_bytes,
)
