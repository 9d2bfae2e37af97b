"""Publish a bundle: python tools/model-export/publish.py BUNDLE --to DEST --version 1.0.0."""

import sys

from oriel.cli import run_program

if __name__ == "__main__":
    run_program(["publish", *sys.argv[1:]], "publish.py")
