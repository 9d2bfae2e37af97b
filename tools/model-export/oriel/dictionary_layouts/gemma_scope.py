"""Gemma Scope's layout: params.npz with the arrays of a JumpReLU SAE. It doesn't say what the SAE
reads: --reads does, and the names of its folders, layer_12/width_16k/average_l0_82, may contradict
it."""

from __future__ import annotations

import re
from pathlib import Path

from oriel.contract.documents import DictionaryActivation
from oriel.dictionary_layouts.jumprelu import UPPER, jumprelu_sae
from oriel.dictionary_layouts.layout import Layout, Request
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
    names = [part for part in file.absolute().parts[-4:-1] if _FOLDERS.fullmatch(part)]
    reads = _reads(request, file, names)
    source = ", ".join(["Gemma Scope", *names])
    return jumprelu_sae(npz_arrays(file), UPPER, request, reads, source).file_bytes(request)


def _reads(request: Request, file: Path, names: list[str]) -> DictionaryActivation:
    """Return what the caller says, unless a folder of Gemma Scope's own names says otherwise."""
    if request.reads is None:
        raise OptionError(
            f"{file.name} doesn't say what it reads",
            got="no --reads",
            expected="--reads KIND:LAYER, such as --reads resid_post:12",
        )
    kind, layer = request.reads["kind"], request.reads["layer"]
    layers = [name.removeprefix("layer_") for name in names if name.startswith("layer_")]
    if layers and layers[0] != str(layer):
        raise OptionError(
            f"--reads names another layer than the folder of {file.name}",
            got=f"{kind}:{layer}",
            expected=f"{kind}:{layers[0]}",
        )
    return request.reads


LAYOUT = Layout(
    "Gemma Scope", f"an .npz file of Gemma Scope, or a folder with {_FILE}", _is_of, _file_bytes
)
