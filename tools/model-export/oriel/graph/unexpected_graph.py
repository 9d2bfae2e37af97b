"""The error of a graph rewrite that finds an unknown form of graph."""

from __future__ import annotations


class UnexpectedGraph(AssertionError):
    """The decoder graph uses an input in a way that the rewrite can't handle: a defect of the
    exporter."""
