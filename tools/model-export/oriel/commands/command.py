"""A command of the program: its name, its arguments and its call."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from oriel.errors import OptionError


class Parser(argparse.ArgumentParser):
    """An argparse parser that raises OptionError for its errors."""

    def error(self, message: str) -> None:  # type: ignore[override]
        raise OptionError(message, next_step=f"see {self.prog} --help.")


@dataclass(frozen=True)
class Command:
    """One of `oriel`'s commands. Its module imports nothing heavy before `call` runs, so that
    --help answers at once."""

    name: str
    summary: str
    """One or two sentences, shown by --help."""
    add_arguments: Callable[[Parser], None]
    call: Callable[[argparse.Namespace], int]
    """Takes the parsed arguments and returns the exit code."""

    def parse(self, argv: Sequence[str], prog: str | None = None) -> argparse.Namespace:
        """Read the arguments. prog: what the usage calls the program, by default `oriel NAME`.
        Raises OptionError for what the command doesn't take."""
        parser = Parser(prog=prog or f"oriel {self.name}", description=self.summary)
        self.add_arguments(parser)
        return parser.parse_args(argv)
