"""Export a checkpoint to an ONNX bundle:
python tools/model-export/export.py --layers 0,5,11 --verify."""

import sys

from oriel.cli import run_program

if __name__ == "__main__":
    run_program(["export", *sys.argv[1:]], "export.py")
