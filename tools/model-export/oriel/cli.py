"""The program `oriel`: its commands, and how one is called."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Sequence
from typing import NoReturn

from oriel.commands import (
    add_dashboards,
    add_dictionary,
    add_lens,
    check_device,
    check_url,
    convert,
    dashboards,
    doctor,
    export,
    fidelity,
    fit_lens,
    inspect,
    lesson,
    pipeline,
    prove,
    publish,
    quantize,
    recommend,
    select,
    split,
    train_dictionary,
    verify,
)
from oriel.commands.command import Command
from oriel.commands.run_command import leave, run_command
from oriel.errors import OptionError

COMMANDS: dict[str, Command] = {
    module.COMMAND.name: module.COMMAND
    for module in (
        doctor,
        export,
        verify,
        select,
        quantize,
        fidelity,
        publish,
        check_url,
        check_device,
        convert,
        split,
        prove,
        pipeline,
        recommend,
        inspect,
        fit_lens,
        add_lens,
        add_dictionary,
        train_dictionary,
        lesson,
        dashboards,
        add_dashboards,
    )
}


def main(argv: Sequence[str] | None = None, prog: str | None = None) -> int:
    """Call the command that the first word names, and return its exit code.

    argv: by default the program's own. prog: what a usage calls the program, where a script calls
    one command.
    """
    return run_command(lambda: _call(list(sys.argv[1:] if argv is None else argv), prog))


def run_program(argv: Sequence[str] | None = None, prog: str | None = None) -> NoReturn:
    """Call a command as `main` does, and end the process with its exit code."""
    leave(main(argv, prog))


def _call(args: list[str], prog: str | None) -> int:
    known = ", ".join(COMMANDS)
    if not args:
        raise OptionError("no command", expected=known, next_step="see oriel --help.")
    name = args[0]
    if name in ("-h", "--help"):
        print(_usage())
        return 0
    if name not in COMMANDS:
        raise OptionError(
            "no such command", got=repr(name), expected=known, next_step="see oriel --help."
        )
    command = COMMANDS[name]
    return command.call(command.parse(args[1:], prog))


def _usage() -> str:
    width = max(map(len, COMMANDS)) + 4
    rows = [
        textwrap.fill(
            command.summary,
            initial_indent=f"  {name}".ljust(width),
            subsequent_indent=" " * width,
            width=78,
        )
        for name, command in COMMANDS.items()
    ]
    first = f"usage: oriel {{{','.join(COMMANDS)}}} …"
    return "\n".join([first, "", *rows, "", "Each command has a --help of its own."])
