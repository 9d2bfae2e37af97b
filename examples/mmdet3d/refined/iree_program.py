"""An ONNX file compiled by IREE, and run."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from oriel.errors import GraphError, OptionError, reason_of
from refined.environment import SETUP, STAMP

PACKAGES = SETUP / "iree"
Arrays = Sequence[NDArray[np.generic]]


def use_iree(packages: Path = PACKAGES) -> None:
    """Make `import iree.compiler` and `iree.runtime` work. Raises OptionError where they aren't
    installed."""
    if not (packages / STAMP).is_file():
        raise OptionError(
            "IREE isn't installed",
            got=f"no {packages}",
            next_step="run python scripts/setup_examples.py mmdet3d first.",
        )
    if str(packages) not in sys.path:
        sys.path.append(str(packages))


def compile_with_iree(file: Path) -> Callable[[Arrays], list[NDArray[np.generic]]]:
    """Compile an ONNX file for this CPU, and return what runs it: arrays in the file's order to
    arrays. Raises GraphError, with the compiler's own reason, where it can't."""
    use_iree()
    import onnx
    from iree.compiler import compile_file
    from iree.compiler.tools import CompilerToolError
    from iree.compiler.tools.import_onnx import __main__ as import_onnx
    from iree.runtime import Config, SystemContext, VmModule

    with tempfile.TemporaryDirectory() as folder:
        imported = Path(folder) / "imported.mlir"
        arguments = import_onnx.parse_arguments([str(file), "-o", str(imported)])
        try:
            import_onnx.main(arguments)
            program: bytes = compile_file(
                str(imported),
                input_type="auto",
                target_backends=["llvm-cpu"],
                extra_args=["--iree-llvmcpu-target-cpu=host"],
            )
        except (CompilerToolError, onnx.checker.ValidationError, RuntimeError) as error:
            raise GraphError(
                f"IREE can't compile {file.name}",
                got=reason_of(error),
                expected="operators that it has, on axes that it can bound",
            ) from error
    context = SystemContext(config=Config("local-task"))
    context.add_vm_module(VmModule.copy_buffer(context.instance, program))
    name = onnx.load(file, load_external_data=False).graph.name
    run = getattr(context.modules.module, name)

    def call(inputs: Arrays) -> list[NDArray[np.generic]]:
        found = run(*inputs)
        several = found if isinstance(found, list | tuple) else [found]
        return [np.asarray(each.to_host()) for each in several]

    return call
