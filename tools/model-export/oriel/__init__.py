"""Oriel's exporter: from a transformer checkpoint to a proven ONNX bundle with activations."""

__version__ = "0.1.0"
