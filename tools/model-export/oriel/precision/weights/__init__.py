"""Encoded weights files: their layout, writing them and expanding them."""
