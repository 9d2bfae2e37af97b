"""Measures, bounds and shows a variant's distance from the float32 model."""
