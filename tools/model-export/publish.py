"""Publish a bundle: python tools/model-export/publish.py BUNDLE --to DEST --version 1.0.0."""

import sys

from oriel.cli import publish_main

if __name__ == "__main__":
    sys.exit(publish_main())
