"""Lens packs: reads, checks and stores maps of the residual stream, and adds them to bundles."""
