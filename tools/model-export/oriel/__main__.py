"""python -m oriel."""

import sys

from oriel.cli import main

if __name__ == "__main__":
    sys.exit(main())
