"""The function that a long run calls with the name of each stage that it begins."""

from __future__ import annotations

from collections.abc import Callable

StageCallback = Callable[[str], None]
