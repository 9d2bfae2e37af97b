"""oriel check-url: fetches a published model as a browser would, and checks it."""

from __future__ import annotations

import argparse
import json

from oriel.commands.command import Command, Parser
from oriel.errors import OptionError


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("url", metavar="URL", help="its manifest.json, or their folder's, with /")
    parser.add_argument(
        "--origin",
        metavar="https://…",
        default="",
        help="where the page will be; default: on another host than the model",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def _call(arguments: argparse.Namespace) -> int:
    from oriel.progress import choose_display
    from oriel.publishing.check_url import DEFAULT_ORIGIN, check_url

    if arguments.origin and not arguments.origin.startswith(("http://", "https://")):
        raise OptionError(
            "--origin is no origin", got=arguments.origin, expected="https://host[:port]"
        )
    with choose_display(arguments.json) as display:
        report = check_url(arguments.url, arguments.origin or DEFAULT_ORIGIN, display)
    if arguments.json:
        print(json.dumps(report.to_json()))
        return 0 if report.passed else 1
    for finding in report.findings:
        print(finding.line())
    sizes = f"{report.objects} files, {report.bytes / 1e6:.1f} MB"
    if report.wire_bytes != report.bytes:
        sizes += f" ({report.wire_bytes / 1e6:.1f} MB on the way)"
    verdict = "a page can load it" if report.passed else "a page can't load it yet"
    print(f"{report.url}: {sizes} checked in {report.seconds:.1f} s: {verdict}")
    return 0 if report.passed else 1


COMMAND = Command(
    "check-url",
    "Fetch a published model as a browser would, check every byte, and say what to change on the "
    "host; exit 1 if a page couldn't load it.",
    _add_arguments,
    _call,
)
