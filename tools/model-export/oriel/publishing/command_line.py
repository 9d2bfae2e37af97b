"""The command lines of `oriel publish` and `oriel check-url`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from oriel.errors import OptionError
from oriel.publishing.cut_file import MOST_CHUNK_BYTES
from oriel.publishing.published_names import VERSION, manifest_name

LEAST_CHUNK_BYTES = 4096
LARGEST_CHUNK_BYTES = 2**30


class _Parser(argparse.ArgumentParser):
    """argparse, with its complaints as OptionErrors."""

    def error(self, message: str) -> None:  # type: ignore[override]
        raise OptionError(message, next_step=f"see {self.prog} --help.")


def publish_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="publish.py",
        description="Publish a bundle: chunks named by their digests, and the manifest last.",
    )
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="its folder or model.onnx")
    parser.add_argument(
        "--to",
        required=True,
        metavar="DEST",
        help="a folder, s3://bucket/prefix, gs://bucket/prefix, az://container/prefix, or "
        "hf://org/name; one place for each model",
    )
    parser.add_argument(
        "--version",
        metavar="1.0.0",
        help="its name, which stays readable for ever; default: one made from the content",
    )
    parser.add_argument(
        "--endpoint",
        metavar="URL",
        help="of an S3-compatible store; default: AWS_ENDPOINT_URL, else Amazon's",
    )
    parser.add_argument(
        "--chunk-bytes",
        type=int,
        default=MOST_CHUNK_BYTES,
        metavar="N",
        help=f"a chunk's largest size; default: {MOST_CHUNK_BYTES}",
    )
    parser.add_argument(
        "--example-prompt",
        metavar="TEXT",
        help="what is computed beforehand, to look at while the weights come; ids with spaces "
        "between where the bundle has no tokenizer; default: the page's own first text",
    )
    parser.add_argument(
        "--no-first-pass", action="store_true", help="compute no example beforehand"
    )
    parser.add_argument(
        "--prune",
        action="store_true",
        help="say which chunks no manifest names; with --yes remove them",
    )
    parser.add_argument("--yes", action="store_true", help="really remove what --prune found")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    return parser


def publish_command(argv: Sequence[str] | None) -> int:
    """oriel publish."""
    words = publish_parser().parse_args(argv)
    if words.version is not None and VERSION.fullmatch(words.version) is None:
        raise OptionError(
            "--version can't stand in a URL",
            got=repr(words.version),
            expected="up to 64 letters, digits, '.', '_' and '-', such as 1.0.0",
        )
    if not LEAST_CHUNK_BYTES <= words.chunk_bytes <= LARGEST_CHUNK_BYTES:
        raise OptionError(
            "--chunk-bytes is out of range",
            got=str(words.chunk_bytes),
            expected=f"{LEAST_CHUNK_BYTES} to {LARGEST_CHUNK_BYTES}",
        )
    if words.yes and not words.prune:
        raise OptionError("--yes says yes to nothing", next_step="use it with --prune.")
    if words.example_prompt is not None and words.no_first_pass:
        raise OptionError("--example-prompt and --no-first-pass exclude each other")
    from oriel.progress import choose_display
    from oriel.publishing.first_pass import Example
    from oriel.publishing.place import open_place
    from oriel.publishing.prune import prune
    from oriel.publishing.publish import publish

    place = open_place(words.to, words.endpoint)
    with choose_display(words.json) as display:
        example = None if words.no_first_pass else Example(words.example_prompt)
        published = publish(words.bundle, place, words.version, display, words.chunk_bytes, example)
        pruned = prune(place, words.yes) if words.prune else None
    if words.json:
        result = {"to": place.address, **published.to_json()}
        if pruned is not None:
            result["pruned"] = pruned.to_json()
        print(json.dumps(result))
        return 0
    count, total = len(published.sent), published.bytes / 1e6
    what = f"version {published.version} of {published.manifest['model']['name']}"
    if count == 0:
        print(f"{what} is up to date in {place.address}: nothing was sent")
    else:
        sent = f"{count} objects, {published.sent_bytes / 1e6:.1f} MB, were new"
        print(f"{what} is in {place.address}: {published.chunks} chunks, {total:.1f} MB; {sent}")
    first = published.manifest.get("first_pass")
    if first is not None:
        print(f"computed beforehand with {first['variant']}: {json.dumps(first['prompt'])}")
    elif published.no_first_pass is not None:
        print(f"nothing was computed beforehand: {published.no_first_pass}")
    stays = manifest_name(published.version)
    print(f"readers open manifest.json (the newest) or {stays} (this one, for ever)")
    if pruned is not None:
        size = f"{len(pruned.names)} objects, {pruned.bytes / 1e6:.1f} MB"
        print(f"pruned {size}" if pruned.done else f"--prune --yes would remove {size}")
    return 0


def check_url_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="oriel check-url",
        description="Fetch a published model as a browser would, check every byte, and say what to "
        "change on the host; exit 1 if a page couldn't load it.",
    )
    parser.add_argument("url", metavar="URL", help="its manifest.json, or their folder's, with /")
    parser.add_argument(
        "--origin",
        metavar="https://…",
        default="",
        help="where the page will be; default: on another host than the model",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    return parser


def check_url_command(argv: Sequence[str] | None) -> int:
    """oriel check-url."""
    words = check_url_parser().parse_args(argv)
    from oriel.progress import choose_display
    from oriel.publishing.check_url import A_PAGE_ELSEWHERE, check_url

    if words.origin and not words.origin.startswith(("http://", "https://")):
        raise OptionError("--origin is no origin", got=words.origin, expected="https://host[:port]")
    with choose_display(words.json) as display:
        report = check_url(words.url, words.origin or A_PAGE_ELSEWHERE, display)
    if words.json:
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
