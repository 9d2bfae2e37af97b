"""Write a trained detector as PT2, ONNX or both.

python refined/improved_exporter.py CONFIG --checkpoint FILE.pth --output DIR --format both \
    --use-random-data --device cpu --verbose
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]

from oriel.commands.command import Parser  # noqa: E402 - the path comes first
from oriel.commands.run_command import run_command  # noqa: E402
from oriel.errors import OptionError  # noqa: E402
from refined.export_detector import Choices, export_and_report  # noqa: E402

FORMATS = {"pt2": ("pt2",), "onnx": ("onnx",), "both": ("pt2", "onnx")}


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 where every file was written and verified, 1 where not, 2 for a user's mistake."""
    return run_command(lambda: _call(argv))


def _call(argv: Sequence[str] | None) -> int:
    parser = Parser(prog="improved_exporter.py", description="Write a trained detector.")
    parser.add_argument("config", help="a config's file here, or configs/… of mmdet3d's own")
    parser.add_argument("--checkpoint", type=Path, help="of MMEngine; random weights without it")
    parser.add_argument("--output", type=Path, required=True, help="the folder to write")
    parser.add_argument("--format", choices=tuple(FORMATS), default="both")
    data = parser.add_mutually_exclusive_group()
    data.add_argument("--points", type=Path, help="a point cloud: float32, .bin as KITTI's")
    data.add_argument(
        "--use-random-data", action="store_true", help="random points; so without --points"
    )
    parser.add_argument("--device", default="cpu", help="files are written on the CPU")
    parser.add_argument("--verbose", action="store_true", help="print each step")
    arguments = parser.parse_args(argv)
    if arguments.device != "cpu":
        raise OptionError(
            "files are written and compared on the CPU",
            got=f"--device {arguments.device}",
            expected="--device cpu",
        )
    choices = Choices(
        arguments.config,
        arguments.output,
        FORMATS[arguments.format],
        arguments.checkpoint,
        arguments.points,
    )
    return export_and_report(choices, arguments.verbose)


if __name__ == "__main__":
    sys.exit(main())
