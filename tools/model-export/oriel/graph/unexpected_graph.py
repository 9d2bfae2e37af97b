"""The error of a rewrite that meets a graph in a form that it doesn't know."""

from __future__ import annotations


class UnexpectedGraph(AssertionError):
    """An input of the decoder graph is used in a way that a rewrite doesn't know: our defect."""
