"""Prove an exported bundle against PyTorch: python tools/model-export/verify.py --model PATH."""

import sys

from oriel.cli import verify_main

if __name__ == "__main__":
    sys.exit(verify_main())
