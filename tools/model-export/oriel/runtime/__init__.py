"""A bundle run natively by ONNX Runtime: activations, edits and a cache, without PyTorch."""
