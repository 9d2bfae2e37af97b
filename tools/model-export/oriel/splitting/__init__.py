"""A training checkpoint of several networks, written as one file for each."""
