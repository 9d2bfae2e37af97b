"""Analyses of a model's activations, in NumPy: pure functions of arrays, and sweeps of runs of a
bundle. The page has the same in analysis/."""
