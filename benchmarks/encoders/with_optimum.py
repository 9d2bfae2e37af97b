"""Exports a model with Optimum, as its command does, its own validation included.

Usage: python with_optimum.py CHECKPOINT FOLDER [TASK]
"""

import sys

from optimum.exporters.onnx import main_export

checkpoint, folder, task = [*sys.argv[1:], "fill-mask"][:3]
main_export(checkpoint, output=folder, task=task)
