"""The type of an array whose dtype is known only at run time: ONNX Runtime takes and gives such."""

from __future__ import annotations

from typing import Any, TypeAlias

from numpy.typing import NDArray

Array: TypeAlias = NDArray[Any]
