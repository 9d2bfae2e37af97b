"""Run Python scripts in forks of one process that has imported PyTorch and transformers, which is
most of a script's time: `script_server.py SOCKET` serves until its standard input ends, and
`script_server.py SOCKET --ask` passes a request on from standard input and prints the answer.

A request is a JSON object with `script`, `arguments`, `input` and `folder`, an answer one with
`code`, `output` and `errors`.
"""

from __future__ import annotations

import json
import os
import runpy
import selectors
import signal
import socket
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import IO

START_WITHIN_S = 60.0


def serve(path: str) -> None:
    """Answer each connection in a process of its own, until standard input ends."""
    with socket.socket(socket.AF_UNIX) as server, selectors.DefaultSelector() as waiting:
        server.bind(path)
        # Whoever asks meanwhile waits.
        server.listen(64)
        import_libraries()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        waiting.register(server, selectors.EVENT_READ)
        waiting.register(sys.stdin, selectors.EVENT_READ)
        while all(key.fileobj is server for key, _ in waiting.select()):
            connection, _ = server.accept()
            with connection:
                if os.fork() == 0:
                    server.close()
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    answer(connection)


def import_libraries() -> None:
    """Import what scripts import, and the models that transformers imports on first use."""
    import torch  # noqa: F401
    from transformers import (  # noqa: F401
        AutoModelForCausalLM,
        AutoTokenizer,
        BertForMaskedLM,
        GPT2LMHeadModel,
        LlamaForCausalLM,
    )


def answer(connection: socket.socket) -> None:
    """Run the script that is asked for, answer, and end this process."""
    try:
        with (
            connection,
            connection.makefile("rw", encoding="utf-8") as stream,
            tempfile.TemporaryFile() as given,
            tempfile.TemporaryFile() as output,
            tempfile.TemporaryFile() as errors,
        ):
            asked = json.loads(stream.readline())
            given.write(asked["input"].encode())
            given.seek(0)
            for number, file in enumerate((given, output, errors)):
                os.dup2(file.fileno(), number)
            code = run(Path(asked["script"]), asked["arguments"], asked["folder"])
            texts = {"output": read_again(output), "errors": read_again(errors)}
            stream.write(json.dumps({"code": code, **texts}) + "\n")
    finally:
        # Without what the process that this one was forked from does at its end.
        os._exit(0)


def run(script: Path, arguments: list[str], folder: str) -> int:
    """Run a script as Python does, and return its exit code."""
    os.chdir(folder)
    sys.argv, sys.path[0] = [str(script), *arguments], str(script.parent)
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    try:
        runpy.run_path(str(script), run_name="__main__")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception:  # noqa: BLE001
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


def read_again(file: IO[bytes]) -> str:
    """Return all of a file that was written by another name."""
    file.seek(0)
    return file.read().decode()


def ask(path: str) -> None:
    """Pass a request on to the server, which may just be starting, and print its answer."""
    deadline = time.monotonic() + START_WITHIN_S
    with socket.socket(socket.AF_UNIX) as connection:
        while True:
            try:
                connection.connect(path)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
        with connection.makefile("rw", encoding="utf-8") as stream:
            stream.write(sys.stdin.readline())
            stream.flush()
            answered = stream.readline()
    print(answered or '{"code": 1, "output": "", "errors": "the process that runs scripts ended"}')


if __name__ == "__main__":
    (ask if "--ask" in sys.argv else serve)(sys.argv[1])
