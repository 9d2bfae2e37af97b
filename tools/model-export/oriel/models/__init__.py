"""Checkpoints: where they are, what they are, and how their weights are read safely."""
