"""Runs Python programs one after another in one process, which imports torch once.

Reads a JSON list of {"file", "words"} from standard input. Prints a JSON list of what each program
printed. Files that programs open lie in the working directory.
"""

import io
import json
import runpy
import sys
from contextlib import redirect_stdout


def main() -> None:
    """Run all programs; the error of one ends all."""
    printed = []
    for job in json.load(sys.stdin):
        sys.argv = [job["file"], *job["words"]]
        with redirect_stdout(io.StringIO()) as out:
            runpy.run_path(job["file"], run_name="__main__")
        printed.append(out.getvalue())
    print(json.dumps(printed))


if __name__ == "__main__":
    main()
