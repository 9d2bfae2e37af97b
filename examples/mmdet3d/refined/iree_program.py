"""An ONNX file compiled by IREE, and run."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from oriel.errors import GraphError, reason_of
from oriel.formats.convert_program import Conversion
from oriel.formats.iree_file import FORMAT, convert

Arrays = Sequence[NDArray[np.generic]]


def compile_with_iree(file: Path) -> Callable[[Arrays], list[NDArray[np.generic]]]:
    """Compile an ONNX file for this CPU, and return what runs it: arrays in the file's order to
    arrays. Raises GraphError, with the compiler's own reason, where it can't, and OptionError where
    IREE isn't installed."""
    FORMAT.make_importable()
    with tempfile.TemporaryDirectory() as folder:
        compiled = Path(folder) / f"model{FORMAT.suffix}"
        try:
            convert(Conversion(file, compiled, (), ()))
        except Exception as error:
            # The importer and the compiler raise errors of several packages.
            raise GraphError(
                f"IREE can't compile {file.name}",
                got=reason_of(error),
                expected="operators that it has, on axes that it can bound",
            ) from error
        # It stays mapped into memory.
        run = FORMAT.open(compiled)

    def call(inputs: Arrays) -> list[NDArray[np.generic]]:
        return [tensor.numpy() for tensor in run([torch.from_numpy(each) for each in inputs])]

    return call
