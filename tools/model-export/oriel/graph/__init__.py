"""The ONNX side: tracing, tidying, repeating layers, taps, choosing outputs."""
