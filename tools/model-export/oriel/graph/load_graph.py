"""Loading a graph once in ONNX Runtime, so that no file is handed on which no runtime opens. What
it computes is for the verification to say."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path

import onnx
from onnx import TensorProto, helper

from oriel.errors import GraphError, reason_of
from oriel.graph.external_data import check_external_data


def check_loads(graph: bytes, name: str, folder: Path, next_step: str) -> None:
    """Make a session of a graph whose weights lie in `folder`; GraphError where none can be made.

    Where a data file isn't in the folder, zeros stand in for it: whether a graph loads doesn't
    depend on the values of its weights.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # Errors arrive as exceptions; printed once more they would only frighten.
    options.log_severity_level = 4
    # Nothing is run: weights stay where they are mapped, neither folded nor copied.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.disable_prepacking", "1")
    try:
        model = onnx.ModelProto.FromString(graph)
        check_external_data(model, name)
        with _data_folder(model, folder) as place:
            options.add_session_config_entry(
                "session.model_external_initializers_file_folder_path", str(place)
            )
            onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except (GraphError, MemoryError):
        raise
    except Exception as error:
        # ONNX Runtime's errors and protobuf's have no common class that is public.
        raise GraphError(
            f"ONNX Runtime can't load {name}",
            got=reason_of(error),
            expected="a graph that a session can be made of",
            next_step=next_step,
        ) from error


@contextmanager
def _data_folder(model: onnx.ModelProto, folder: Path) -> Iterator[Path]:
    """`folder`, or one with files of zeros, as long as the graph asks for, where it lacks some."""
    ends: dict[str, int] = {}
    for tensor in model.graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            said = {entry.key: entry.value for entry in tensor.external_data}
            item = int(helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
            length = int(said.get("length", 0)) or prod(tensor.dims) * item
            end = int(said.get("offset", 0)) + length
            ends[said["location"]] = max(end, ends.get(said["location"], 0))
    if all((folder / location).is_file() for location in ends):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="oriel-load-") as made:
        for location, end in ends.items():
            file = Path(made) / location
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("wb") as out:
                # Sparse: it takes no room on the disk.
                out.truncate(end)
        yield Path(made)
