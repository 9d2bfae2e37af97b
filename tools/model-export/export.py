"""Export a checkpoint to an ONNX bundle:
python tools/model-export/export.py --layers 0,5,11 --verify."""

import sys

from oriel.cli import export_main

if __name__ == "__main__":
    sys.exit(export_main())
