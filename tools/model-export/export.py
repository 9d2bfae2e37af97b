"""Export a checkpoint to an ONNX bundle:
python tools/model-export/export.py --layers 0,5,11 --verify."""

from oriel.cli import export_main, leave

if __name__ == "__main__":
    leave(export_main())
