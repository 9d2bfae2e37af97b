"""Lens packs: maps of the residual stream, fitted, stored, and put into bundles."""
