"""A transformers module whose inner tensors come out as named outputs."""
