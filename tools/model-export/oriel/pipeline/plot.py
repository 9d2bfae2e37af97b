"""A pipeline's plot: the size of each file and the time of one call, with their spread."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from oriel.pipeline.measure_file import EAGER
from oriel.pipeline.rows import PipelineRow, case_names


def can_plot() -> bool:
    """Return whether matplotlib is here: the extra `plot`."""
    return importlib.util.find_spec("matplotlib") is not None


def write_plot(rows: Sequence[PipelineRow], file: Path) -> None:
    """Write an SVG: a point for each timed row, with a bar from its least to its largest time."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    timed = [row for row in rows if row.measured is not None and row.bytes]
    case = next((name for name in case_names(timed)), None)
    if case is None:
        return
    figure, axes = pyplot.subplots(figsize=(7.2, 4.4), layout="constrained")
    for row in timed:
        assert row.measured is not None and row.bytes is not None
        found = row.measured.seconds.get(case)
        if found is None:
            continue
        below, above = found.median - found.least, found.largest - found.median
        axes.errorbar(
            row.bytes / 1e6,
            found.median * 1e3,
            yerr=[[below * 1e3], [above * 1e3]],
            fmt="s" if row.format == EAGER else "o",
            label=row.name,
            capsize=3,
        )
    axes.set_xlabel("file, MB")
    axes.set_ylabel(f"one call, {case}, ms")
    axes.set_yscale("log")
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    with matplotlib.rc_context({"svg.hashsalt": "oriel", "svg.fonttype": "none"}):
        figure.savefig(file, format="svg", metadata={"Date": None})
    pyplot.close(figure)
