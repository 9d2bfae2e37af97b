"""Slim a graph with onnxslim: from the first argument's file to the second's."""

import sys

import onnx
import onnxslim

onnx.save(onnxslim.slim(sys.argv[1]), sys.argv[2])
