"""Prove an exported bundle against PyTorch: python tools/model-export/verify.py --model PATH."""

import sys

from oriel.cli import run_program

if __name__ == "__main__":
    run_program(["verify", *sys.argv[1:]], "verify.py")
