"""Command lines: words to options, errors to one line and an exit code. The work is done in
export_bundle.py."""

from __future__ import annotations

import argparse
import gc
import json
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn

from oriel.contract.activation_names import kinds
from oriel.errors import OptionError, OrielError
from oriel.options import (
    DEFAULT_OPSET,
    NEWEST_OPSET,
    OLDEST_OPSET,
    ExportOptions,
    QuantizeOptions,
    parse_layers,
    parse_opset,
    parse_words,
)
from oriel.precisions import CALIBRATION_METHODS, FP32, PRECISIONS

if TYPE_CHECKING:
    from oriel.models.load_model import LoadedModel
    from oriel.verification.report import Report


class _Parser(argparse.ArgumentParser):
    """argparse, with its complaints as OptionErrors."""

    def error(self, message: str) -> None:  # type: ignore[override]
        raise OptionError(message, next_step=f"see {self.prog} --help.")


def run(main: Callable[[Sequence[str] | None], int], argv: Sequence[str] | None = None) -> int:
    """Call a command; a user's mistake becomes one line on stderr and exit code 2."""
    try:
        with _signals_as_exceptions():
            return main(argv)
    except (Exception, KeyboardInterrupt) as error:
        stop = _stop_behind(error)
        if stop is not None:
            print("stopped: no file was left half-written", file=sys.stderr)
            # 130 of Ctrl-C, 143 of SIGTERM: as shells tell which signal ended a program.
            return 128 + (stop.number if isinstance(stop, _Ended) else signal.SIGINT)
        if isinstance(error, OrielError):
            print(f"error: {error}", file=sys.stderr)
            return error.exit_code
        raise


class _Ended(KeyboardInterrupt):
    """A signal other than Ctrl-C's that asks a program to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


@contextmanager
def _signals_as_exceptions() -> Iterator[None]:
    """Let SIGTERM (of `kill`, a service manager, a batch system) and SIGHUP (of a closed terminal)
    clean up as Ctrl-C does. One that is ignored, as under nohup, stays ignored."""
    if threading.current_thread() is not threading.main_thread():
        # Only the main thread may set handlers.
        yield
        return

    def end(number: int, _: FrameType | None) -> NoReturn:
        # Asked again, it goes on cleaning up.
        signal.signal(number, signal.SIG_IGN)
        raise _Ended(number)

    known = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    taken = [number for number in known if signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


def _stop_behind(error: BaseException) -> KeyboardInterrupt | None:
    """The signal that an error came of: a library that it found at an awkward place may raise
    something else in its stead."""
    seen: set[int] = set()
    at: BaseException | None = error
    while at is not None and id(at) not in seen:
        if isinstance(at, KeyboardInterrupt):
            return at
        seen.add(id(at))
        at = at.__cause__ or at.__context__
    return None


def leave(code: int) -> NoReturn:
    """End the process. The interpreter's last search for garbage takes a second after a trace, and
    finds what goes with the process anyway: it gets nothing to search."""
    gc.freeze()
    sys.exit(code)


def _kind_names() -> tuple[str, ...]:
    return tuple(kind for kind in kinds() if kind != "logits")


def export_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="export.py",
        description="Export a transformer to ONNX with its activations, named by the contract.",
    )
    parser.add_argument(
        "--model",
        metavar="NAME",
        help="Hub id, local folder, or demo; default: tools/model-export/models/gpt2 if it is "
        "there, else gpt2 from the Hub, else the bundled model",
    )
    parser.add_argument("--revision", help="the Hub's branch, tag or commit")
    parser.add_argument("--layers", metavar="0,5,11", help="layers to give out; default: the last")
    parser.add_argument("--all-layers", action="store_true", help="give out every layer")
    parser.add_argument(
        "--activations",
        metavar="KIND,…",
        help=f"what to give out of them, some of {', '.join(_kind_names())}",
    )
    parser.add_argument(
        "--output",
        metavar="PATH",
        help="the plain graph; default: apps/web/static/models/<name>/model.onnx",
    )
    parser.add_argument(
        "--opset",
        default=str(DEFAULT_OPSET),
        metavar="N",
        help=f"ONNX opset, {OLDEST_OPSET} to {NEWEST_OPSET}; default: {DEFAULT_OPSET}",
    )
    parser.add_argument(
        "--precision",
        default="fp32",
        metavar="fp32,…",
        help=f"variants to write, some of {', '.join(PRECISIONS)}; fp32 always is",
    )
    _add_quantizing(parser)
    parser.add_argument("--verify", action="store_true", help="prove the files against PyTorch")
    parser.add_argument(
        "--force",
        action="store_true",
        help="export even if the same bundle is there already, or another model's of that name",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser


def _add_quantizing(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--recipe",
        metavar="FILE",
        help="which weights are encoded how, for q8, q4 and what computes on them; default: the "
        "bundled recipes",
    )
    parser.add_argument(
        "--calibration",
        metavar="FILE",
        help="UTF-8, one passage a line; default: training passages of the bundled corpus",
    )
    parser.add_argument(
        "--calibration-method",
        default=CALIBRATION_METHODS[0],
        choices=CALIBRATION_METHODS,
        help=f"how int8_static's ranges are drawn; default: {CALIBRATION_METHODS[0]}",
    )
    parser.add_argument(
        "--allow-lossy",
        action="store_true",
        help="write variants beyond their bounds of fidelity too; the manifest says which",
    )


def _check_files(words: dict[str, Any]) -> None:
    """Names of the files that _add_quantizing takes as paths."""
    for name in ("recipe", "calibration"):
        if words[name] == "":
            raise OptionError(f"--{name} is empty", expected="a file", next_step="name one.")
        words[name] = None if words[name] is None else Path(words[name])


def export_options(argv: Sequence[str] | None) -> ExportOptions:
    words = vars(export_parser().parse_args(argv))
    if words["layers"] is not None:
        if words["all_layers"]:
            raise OptionError(
                "--layers and --all-layers exclude each other", next_step="leave one of them out."
            )
        words["layers"] = parse_layers(words["layers"])
    if words["activations"] is not None:
        words["activations"] = parse_words(words["activations"], "--activations", _kind_names())
    words["precision"] = parse_words(words["precision"], "--precision", tuple(PRECISIONS))
    _check_files(words)
    words["opset"] = parse_opset(words["opset"])
    if words["output"] is not None:
        if not words["output"]:
            raise OptionError("--output is empty", expected="a path such as out/model.onnx")
        words["output"] = Path(words["output"])
    return ExportOptions(**words)


def export_main(argv: Sequence[str] | None = None) -> int:
    """export.py."""
    return run(_export, argv)


def _export(argv: Sequence[str] | None) -> int:
    options = export_options(argv)
    from oriel.export_bundle import export
    from oriel.progress import choose_display

    with choose_display(options.json) as display:
        exported = export(options, display)
    for text in exported.notices:
        _notice(text)
    result: dict[str, object] = {"output": str(exported.graph), "manifest": exported.manifest}
    if not options.json:
        print(_summary(exported.graph, exported.manifest, exported.unchanged))
    code = 0
    if options.verify:
        report = _verified(exported.graph, exported.model, options.json)
        result["verification"] = report.to_json()
        code = 0 if report.passed else 1
        if not options.json:
            # Once more: the table has pushed them out of sight.
            for text in exported.notices:
                _notice(text)
    if options.json:
        print(json.dumps(result))
    return code


def _verified(graph: Path, model: LoadedModel | Path | None, quiet: bool) -> Report:
    """Verify a bundle, leave verification.json in it, and show the table unless `quiet`."""
    from oriel.bundle.atomic_folder import unwritable
    from oriel.contract.manifest import VERIFICATION
    from oriel.progress import choose_display
    from oriel.verification.report import print_report, write_report
    from oriel.verification.verify import verify

    with choose_display(quiet) as display:
        report = verify(graph, model, display.stage)
    if not quiet:
        print_report(report)
    folder = graph if graph.is_dir() else graph.parent
    try:
        write_report(report, folder / VERIFICATION)
    except OSError as error:
        raise unwritable(folder, error) from error
    return report


def _notice(text: str) -> None:
    import textwrap

    # Names of a stranger's checkpoint must not steer the terminal.
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    bar = "=" * 78
    lines = "\n".join(textwrap.wrap(text, 76))
    print(f"\n{bar}\nNOTICE\n{lines}\n{bar}\n", file=sys.stderr)


def _summary(graph: Path, manifest: dict[str, object], unchanged: bool) -> str:
    try:
        shown = graph.relative_to(Path.cwd())
    except ValueError:
        shown = graph
    files = manifest["files"]
    assert isinstance(files, list)
    total = sum(f["bytes"] for f in files)
    verb = "is up to date" if unchanged else "written"
    line = f"{shown} {verb}: {len(files)} files, {total / 1e6:.1f} MB"
    return line if "tokenizer" in manifest else f"{line}; no tokenizer: the page takes token ids"


def select_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="oriel select",
        description="Choose a plain graph's outputs anew: no export, no torch, weights untouched.",
    )
    parser.add_argument("graph", type=Path, metavar="model.onnx")
    parser.add_argument("--layers", metavar="3,4", help="layers to give out; default: all")
    parser.add_argument(
        "--activations", metavar="KIND,…", help=f"some of {', '.join(_kind_names())}"
    )
    parser.add_argument("--json", action="store_true", help="print the chosen names as JSON")
    return parser


def _select(argv: Sequence[str] | None) -> int:
    words = select_parser().parse_args(argv)
    layers = parse_layers(words.layers) if words.layers is not None else None
    activations = None
    if words.activations is not None:
        activations = parse_words(words.activations, "--activations", _kind_names())
    from oriel.bundle.select_bundle import select_in_bundle

    names = select_in_bundle(words.graph, layers, activations)
    if words.json:
        print(json.dumps({"output": str(words.graph), "outputs": ["logits", *names]}))
    else:
        print(f"{words.graph} gives logits and {len(names)} activations")
    return 0


def quantize_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="oriel quantize",
        description="Make smaller variants of an exported bundle: no checkpoint, no torch.",
    )
    parser.add_argument(
        "graph", type=Path, metavar="model.onnx", help="a bundle's float32 graph, or its folder"
    )
    others = tuple(name for name in PRECISIONS if name != FP32.name)
    parser.add_argument(
        "--precision", required=True, metavar="q8,…", help=f"some of {', '.join(others)}"
    )
    _add_quantizing(parser)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser


def _quantize(argv: Sequence[str] | None) -> int:
    words = vars(quantize_parser().parse_args(argv))
    words["precision"] = parse_words(words["precision"], "--precision", tuple(PRECISIONS))
    _check_files(words)
    options = QuantizeOptions(**words)
    from oriel.progress import choose_display
    from oriel.quantize_bundle import quantize

    with choose_display(options.json) as display:
        quantized = quantize(options, display)
    if options.json:
        result = {"output": str(quantized.graph), "made": quantized.made}
        print(json.dumps(result | {"manifest": quantized.manifest}))
    else:
        for line in quantized.lines():
            print(line)
    return 0


def verify_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="verify.py",
        description="Prove an exported bundle against PyTorch; exit 1 if anything fails.",
    )
    parser.add_argument(
        "--model",
        type=Path,
        required=True,
        metavar="PATH",
        help="a bundle's model.onnx, or its folder; all its variants are verified",
    )
    parser.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FOLDER",
        help="what it was exported from; default: the bundled or Hub model that it names",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    return parser


def verify_main(argv: Sequence[str] | None = None) -> int:
    """verify.py."""
    return run(_verify, argv)


def _verify(argv: Sequence[str] | None) -> int:
    words = verify_parser().parse_args(argv)
    if not words.model.exists():
        raise OptionError(
            "--model names nothing",
            got=str(words.model),
            expected="an exported model.onnx or its folder",
            next_step="export one first: export.py --output PATH.",
        )
    report = _verified(words.model, words.checkpoint, words.json)
    if words.json:
        print(json.dumps(report.to_json(), allow_nan=False))
    return 0 if report.passed else 1


def fidelity_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="oriel fidelity",
        description="Measure how far a bundle's variants are from the fp32 model in PyTorch, and "
        "write it into the manifest; exit 1 if one is beyond its bounds.",
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="its folder or model.onnx")
    parser.add_argument(
        "--checkpoint",
        type=Path,
        metavar="FOLDER",
        help="what it was exported from; default: the bundled or Hub model that it names",
    )
    parser.add_argument(
        "--text",
        type=Path,
        metavar="FILE",
        help="UTF-8, one passage a line; default: held-out passages of the bundled corpus",
    )
    parser.add_argument("--variants", metavar="q8,…", help="those to measure; default: all")
    parser.add_argument("--plot", type=Path, metavar="FILE.svg", help="draw bytes against KL")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    return parser


def _fidelity(argv: Sequence[str] | None) -> int:
    words = fidelity_parser().parse_args(argv)
    names = None if words.variants is None else words.variants.replace(" ", "").split(",")
    from oriel.fidelity.measure_bundle import measure_bundle
    from oriel.fidelity.plot import check_plot, write_plot
    from oriel.fidelity.table import print_fidelity
    from oriel.progress import choose_display

    check_plot(words.plot)
    with choose_display(words.json) as display:
        found = measure_bundle(words.bundle, words.checkpoint, words.text, names, display.stage)
    if words.plot is not None:
        write_plot(found, words.plot)
    if words.json:
        print(json.dumps(found.to_json(), allow_nan=False))
    else:
        print_fidelity(found)
    return 0 if all(m.fidelity.within_bounds for m in found.variants) else 1


def publish_main(argv: Sequence[str] | None = None) -> int:
    """publish.py."""
    return run(_publish, argv)


def _publish(argv: Sequence[str] | None) -> int:
    from oriel.publishing.command_line import publish_command

    return publish_command(argv)


def _check_url(argv: Sequence[str] | None) -> int:
    from oriel.publishing.command_line import check_url_command

    return check_url_command(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """oriel: one of the commands below."""
    return run(_dispatch, argv)


def _dispatch(argv: Sequence[str] | None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    commands = {"export": _export, "verify": _verify, "select": _select}
    commands |= {"quantize": _quantize, "fidelity": _fidelity}
    commands |= {"publish": _publish, "check-url": _check_url}
    if not words:
        raise OptionError("no command", expected=", ".join(commands), next_step="see oriel --help.")
    name = words[0]
    if name in ("-h", "--help"):
        print(f"usage: oriel {{{','.join(commands)}}} …\n\nEach command has a --help of its own.")
        return 0
    if name not in commands:
        raise OptionError(
            "no such command",
            got=repr(name),
            expected=", ".join(commands),
            next_step="see oriel --help.",
        )
    return commands[name](words[1:])
