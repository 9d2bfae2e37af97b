"""Variants of a bundle that compute with fewer bits."""
