"""oriel publish: publishes a bundle to a static host."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from oriel.commands.command import Command, Parser
from oriel.errors import OptionError
from oriel.publishing.cut_file import DEFAULT_CHUNK_BYTES
from oriel.publishing.open_place import EXAMPLES, open_place
from oriel.publishing.published_names import VERSION, manifest_name

BUNDLE_LAYOUT = "bundle"
LAYOUTS = (BUNDLE_LAYOUT, "transformers.js")
MIN_CHUNK_BYTES = 4096
MAX_CHUNK_BYTES = 2**30


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("bundle", type=Path, metavar="BUNDLE", help="its folder or model.onnx")
    parser.add_argument(
        "--to",
        required=True,
        metavar="DEST",
        help=f"{EXAMPLES}; one place for each model",
    )
    parser.add_argument(
        "--layout",
        choices=LAYOUTS,
        default=BUNDLE_LAYOUT,
        help="bundle: chunks and manifests, for this page; transformers.js: a folder that "
        "transformers.js, Optimum and ONNX Runtime GenAI open; default: bundle",
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
        default=DEFAULT_CHUNK_BYTES,
        metavar="N",
        help=f"a chunk's largest size; default: {DEFAULT_CHUNK_BYTES}",
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


def _call(arguments: argparse.Namespace) -> int:
    if arguments.layout != BUNDLE_LAYOUT:
        return _write_layout(arguments)
    if arguments.version is not None and VERSION.fullmatch(arguments.version) is None:
        raise OptionError(
            "--version can't stand in a URL",
            got=repr(arguments.version),
            expected="up to 64 letters, digits, '.', '_' and '-', such as 1.0.0",
        )
    if not MIN_CHUNK_BYTES <= arguments.chunk_bytes <= MAX_CHUNK_BYTES:
        raise OptionError(
            "--chunk-bytes is out of range",
            got=str(arguments.chunk_bytes),
            expected=f"{MIN_CHUNK_BYTES} to {MAX_CHUNK_BYTES}",
        )
    if arguments.yes and not arguments.prune:
        raise OptionError("--yes says yes to nothing", next_step="use it with --prune.")
    if arguments.example_prompt is not None and arguments.no_first_pass:
        raise OptionError("--example-prompt and --no-first-pass exclude each other")
    from oriel.progress import choose_display
    from oriel.publishing.first_pass import Example
    from oriel.publishing.prune import prune
    from oriel.publishing.publish import publish

    place = open_place(arguments.to, arguments.endpoint)
    with choose_display(arguments.json) as display:
        example = None if arguments.no_first_pass else Example(arguments.example_prompt)
        published = publish(
            arguments.bundle, place, arguments.version, display, arguments.chunk_bytes, example
        )
        pruned = prune(place, arguments.yes) if arguments.prune else None
    if arguments.json:
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


def _write_layout(arguments: argparse.Namespace) -> int:
    given = {
        "--version": arguments.version is not None,
        "--endpoint": arguments.endpoint is not None,
        "--chunk-bytes": arguments.chunk_bytes != DEFAULT_CHUNK_BYTES,
        "--example-prompt": arguments.example_prompt is not None,
        "--no-first-pass": arguments.no_first_pass,
        "--prune": arguments.prune,
        "--yes": arguments.yes,
    }
    others = [flag for flag, is_given in given.items() if is_given]
    if others:
        raise OptionError(
            f"--layout {arguments.layout} has no versions, chunks or first pass",
            got=", ".join(others),
            next_step="leave these out.",
        )
    if "://" in arguments.to:
        raise OptionError(
            f"--layout {arguments.layout} writes a folder",
            got=f"--to {arguments.to}",
            expected="a folder of this machine",
            next_step="write one, and upload it: hf upload org/name FOLDER.",
        )
    from oriel.progress import choose_display
    from oriel.publishing.library_layout import write_library_layout

    with choose_display(arguments.json) as display:
        layout = write_library_layout(arguments.bundle, Path(arguments.to), display)
    if arguments.json:
        print(json.dumps({"to": str(layout.folder), **layout.to_json()}))
    else:
        size = f"{len(layout.files)} files, {layout.bytes / 1e6:.1f} MB"
        print(f"{', '.join(layout.variants)} of {arguments.bundle} are in {layout.folder}: {size}")
    return 0


COMMAND = Command(
    "publish",
    "Publish a bundle: chunks named by their digests, and the manifest last.",
    _add_arguments,
    _call,
)
