"""The process that fresh ones are forked from: `python -m oriel.modules.fork_server` reads names of
folders, a line each, runs run_file on each of them in a fork, and answers each with a line: the
fork's exit code."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

# Imported before any fork, which then has it.
from oriel.modules import run_file
from oriel.modules.fresh_process import SAID


def _run_forked(folder: Path) -> int:
    """Run one folder's request in this process, which ends with it."""
    said = os.open(folder / SAID, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(said, 1)
    os.dup2(said, 2)
    try:
        return run_file.main([str(folder)])
    except BaseException:  # noqa: BLE001 - the process that asked is told, whatever it is
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def main() -> int:
    """Fork for each line of the input, one at a time, until it ends."""
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            # Else the one who waits would not see that the server has ended.
            answers.close()
            os._exit(_run_forked(Path(line.rstrip("\n"))))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), file=answers, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
