"""Simplification of ONNX files by onnxslim, in a process of its own. A file comes out only where it
is sound: with the same inputs and outputs, no larger, and with each weight once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from oriel.errors import GraphError
from oriel.formats.convert_program import Conversion, run_conversion
from oriel.formats.packages import package_paths

if TYPE_CHECKING:
    import onnx

PACKAGE = "onnxslim"
FLAG = "--simplify"
_COUNTS = "counts.json"
_SMALLEST_WEIGHT = 1024
"""Bytes from which on a tensor counts as a weight, and not as a number that nodes need."""


@dataclass(frozen=True)
class GraphSize:
    """The size of an ONNX file."""

    nodes: int
    """Counts those of the graph and of its functions."""
    bytes: int


def simplifier_paths() -> list[Path]:
    """Return the folders of onnxslim's packages. Raises OptionError where it isn't installed."""
    return package_paths(PACKAGE, (PACKAGE,), FLAG)


def simplify_onnx(file: Path, simpler: Path, names: tuple[Sequence[str], Sequence[str]]) -> None:
    """Write a simplified file. names: of the inputs and of the outputs.

    Raises GraphError or ModuleError, with the reason, where the result isn't sound or onnxslim
    fails. graph_sizes tells what was found in either case.
    """
    run_conversion(simplify, Conversion(file, simpler, *names), simplifier_paths())


def graph_sizes(simpler: Path) -> tuple[GraphSize, ...]:
    """Return the sizes before and after, as far as they are known, of what simplify_onnx was to
    write."""
    counts = simpler.with_name(_COUNTS)
    if not counts.is_file():
        return ()
    return tuple(GraphSize(**row) for row in json.loads(counts.read_text(encoding="utf-8")))


def simplify(conversion: Conversion) -> None:
    """Simplify the source; run in the other process."""
    import onnx
    import onnxslim

    model = onnx.load(conversion.source, load_external_data=False)
    sizes = [GraphSize(_nodes(model), conversion.source.stat().st_size)]
    _tell(conversion, sizes)
    if any(t.data_location == onnx.TensorProto.EXTERNAL for t in model.graph.initializer):
        raise GraphError(
            "the graph can't be simplified", got="weights in a file of their own", expected="one"
        )
    before = _weights(model)
    slim = onnxslim.slim(model)
    # It drops what other programs wrote into the file.
    del slim.metadata_props[:]
    slim.metadata_props.extend(onnx.load(conversion.source).metadata_props)
    onnx.save(slim, conversion.file)
    sizes.append(GraphSize(_nodes(slim), conversion.file.stat().st_size))
    _tell(conversion, sizes)
    check_sound(conversion, slim, before, sizes)


def check_sound(
    conversion: Conversion,
    slim: onnx.ModelProto,
    before: Counter[int],
    sizes: Sequence[GraphSize],
) -> None:
    """Raise GraphError for a result that is worse than the file. before: how often each weight is
    in the file."""
    wanted = [*conversion.input_names, *conversion.output_names]
    found = [value.name for value in (*slim.graph.input, *slim.graph.output)]
    if found != wanted:
        raise GraphError("onnxslim changes the inputs or outputs", got=", ".join(found)[:120])
    twice = [key for key, count in _weights(slim).items() if count > before.get(key, count)]
    if twice:
        raise GraphError("onnxslim breaks a tie", got="a weight that was stored once, twice")
    old, new = sizes
    if new.bytes > old.bytes:
        raise GraphError(
            "onnxslim makes the file larger",
            got=f"{new.bytes:,} bytes",
            expected=f"at most {old.bytes:,}",
        )


def _tell(conversion: Conversion, sizes: Sequence[GraphSize]) -> None:
    text = json.dumps([asdict(size) for size in sizes])
    conversion.file.with_name(_COUNTS).write_text(text, encoding="utf-8")


def _nodes(model: onnx.ModelProto) -> int:
    return len(model.graph.node) + sum(len(function.node) for function in model.functions)


def _weights(model: onnx.ModelProto) -> Counter[int]:
    """Count the weights by their values in any order: a transposed copy is a copy too."""
    import numpy as np
    from onnx import numpy_helper

    tensors = list(model.graph.initializer)
    tensors += [a.t for node in model.graph.node for a in node.attribute if a.HasField("t")]
    found: Counter[int] = Counter()
    for tensor in tensors:
        values = numpy_helper.to_array(tensor)
        if values.dtype == object:
            continue
        if values.nbytes >= _SMALLEST_WEIGHT and np.unique(values.reshape(-1)[:64]).size > 1:
            data = np.ascontiguousarray(values).view(np.uint8).reshape(-1, values.itemsize)
            found[hash((values.size, *data.sum(0, np.uint64), *np.bitwise_xor.reduce(data)))] += 1
    return found
