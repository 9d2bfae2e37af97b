"""Gemma Scope's layout: params.npz with the arrays of a JumpReLU SAE. It doesn't say what the SAE
reads: --reads does, and the names of its folders, layer_12/width_16k/average_l0_82, may contradict
it."""

from __future__ import annotations

import re
from pathlib import Path

from oriel.contract.documents import DictionaryActivation
from oriel.dictionary_layouts.folding import Parts, take_mean_away
from oriel.dictionary_layouts.layout import (
    Converted,
    Layout,
    Request,
    check_features,
    check_fits,
    takes_mean_away,
)
from oriel.dictionary_layouts.stored_arrays import npz_arrays
from oriel.errors import OptionError

_FILE = "params.npz"
_FOLDERS = re.compile(r"(layer_[0-9]{1,4}|width_[0-9]{1,6}[km]?|average_l0_[0-9]{1,6}|canonical)")


def _file(path: Path) -> Path:
    return path / _FILE if path.is_dir() else path


def _is_of(path: Path) -> bool:
    file = _file(path)
    return file.suffix == ".npz" and file.is_file()


def _file_bytes(request: Request) -> bytes:
    file = _file(request.path)
    stored = npz_arrays(file)
    width, features = stored.width_of("W_enc")
    reads = _reads(request, file)
    said = ", ".join(_names(file)) or "Gemma Scope"
    check_fits(request, reads, width, said)
    check_features(request, features)
    stored.check(
        {
            "W_enc": (width, features),
            "b_enc": (features,),
            "W_dec": (features, width),
            "b_dec": (width,),
            "threshold": (features,),
        }
    )
    read = (stored.read(name) for name in ("W_enc", "b_enc", "W_dec", "b_dec", "threshold"))
    parts = Parts(*read)
    if takes_mean_away(request, reads, by_settings=False):
        parts = take_mean_away(parts)
    source = ", ".join([f"Gemma Scope {_FILE}", *_names(file)])
    converted = Converted("sae", reads, reads, "jumprelu", source, parts.arrays())
    return converted.file_bytes(request)


def _names(file: Path) -> list[str]:
    """Return the names of the folders above that are Gemma Scope's own."""
    return [part for part in file.absolute().parts[-4:-1] if _FOLDERS.fullmatch(part)]


def _reads(request: Request, file: Path) -> DictionaryActivation:
    if request.reads is None:
        raise OptionError(
            f"{file.name} doesn't say what it reads",
            expected="--reads KIND:LAYER, such as --reads resid_post:12",
        )
    layers = [name for name in _names(file) if name.startswith("layer_")]
    if layers and layers[0] != f"layer_{request.reads['layer']}":
        raise OptionError(
            f"--reads names another layer than the folder of {file.name}",
            got=f"{request.reads['kind']}:{request.reads['layer']}",
            expected=f"{request.reads['kind']}:{layers[0].removeprefix('layer_')}",
        )
    return request.reads


LAYOUT = Layout(
    "Gemma Scope", f"an .npz file of Gemma Scope, or a folder with {_FILE}", _is_of, _file_bytes
)
