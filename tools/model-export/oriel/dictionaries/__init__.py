"""Dictionaries: reads, checks and stores sparse autoencoders and transcoders, and adds them to
bundles."""
