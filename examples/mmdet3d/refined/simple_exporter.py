"""Write a detector with random weights as PT2: the shortest way to see whether a config exports.

python refined/simple_exporter.py CONFIG --output exported/pointpillars
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from oriel.commands.command import Parser  # noqa: E402 - the path comes first
from oriel.commands.run_command import run_command  # noqa: E402
from refined.export_detector import Choices, export_and_report  # noqa: E402


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 where the file was written and verified, 1 where not, 2 for a user's mistake."""
    return run_command(lambda: _call(argv))


def _call(argv: Sequence[str] | None) -> int:
    parser = Parser(prog="simple_exporter.py", description="Write a detector as PT2.")
    parser.add_argument("config", help="a config's file here, or configs/… of mmdet3d's own")
    parser.add_argument("--output", type=Path, required=True, help="the folder to write")
    arguments = parser.parse_args(argv)
    return export_and_report(Choices(arguments.config, arguments.output, ("pt2",)))


if __name__ == "__main__":
    sys.exit(main())
