"""Exports an encoder with Optimum, as its command does, its own validation included.

Usage: python with_optimum.py CHECKPOINT FOLDER
"""

import sys

from optimum.exporters.onnx import main_export

main_export(sys.argv[1], output=sys.argv[2], task="fill-mask")
