"""int8 form of an OpenVINO file, whose weights NNCF compresses; as it runs, OpenVINO may round
activations too."""

from __future__ import annotations

import os
from pathlib import Path

from oriel.formats.convert_program import Conversion, run_conversion
from oriel.formats.packages import package_paths

PACKAGE = "nncf"
RECIPE = "NNCF int8_asym"
"""Its name of what is done: a scale and a zero point for each row of a weight."""
_PACKAGES = ("nncf", "pydot", "sklearn", "tabulate")


def compressor_paths() -> list[Path]:
    """Return the folders of NNCF's packages. Raises OptionError where it isn't installed."""
    return package_paths(PACKAGE, _PACKAGES, "an int8 form of openvino")


def write_int8(file: Path, target: Path) -> None:
    """Write the int8 form of a float32 file. Raises ModuleError with NNCF's reason."""
    paths = [*compressor_paths(), *package_paths("openvino", ("openvino",))]
    run_conversion(compress, Conversion(file, target, (), ()), paths)


def compress(conversion: Conversion) -> None:
    """Compress the source's weights; run in the other process."""
    # Else NNCF reports over the network which of its functions was called.
    os.environ["NNCF_CI"] = "1"
    import nncf
    import openvino

    model = openvino.Core().read_model(conversion.source)
    made = nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_ASYM)
    openvino.save_model(made, conversion.file, compress_to_fp16=False)
