"""Load the graphs named as arguments with tract, and let it infer every type and shape."""

import sys

import tract

for graph in sys.argv[1:]:
    tract.onnx().load(graph).into_model()
