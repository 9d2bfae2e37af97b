"""Checks of a whole manifest that no schema can express: the sums over its files, chunks and taps,
and that its paths name different files on every disk. The same rules in TypeScript:
apps/web/src/contract/validate_totals.ts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from oriel.contract.documents import ManifestDocument, Variant
from oriel.contract.limits import limits
from oriel.contract.variant_graphs import graphs_of
from oriel.errors import ContractError

MANIFEST = "manifest.json"


def check_totals(manifest: ManifestDocument, what: str) -> None:
    """Check a manifest that is valid by its schema. Raises ContractError for the first rule that it
    breaks."""
    _check_bytes(manifest, what)
    _check_digests(manifest, what)
    _check_counts(manifest, what)
    _check_paths(manifest, what)
    names: set[str] = set()
    for variant in manifest["variants"]:
        if variant["name"] in names:
            raise _unsound(what, f"two variants are called {variant['name']}")
        names.add(variant["name"])
        _check_own_paths(variant, f"{what}: {variant['name']}")


def _unsound(what: str, why: str) -> ContractError:
    return ContractError(f"{what} is unsound: {why}", next_step="export it again.")


def _parts(manifest: ManifestDocument) -> Iterator[tuple[str, int, str]]:
    """Yield (path, bytes, digest) of each file, each chunk, and each file that weights expand
    to."""
    for file in manifest["files"]:
        yield file["path"], int(file["bytes"]), file["digest"]
        for chunk in file.get("chunks", ()):
            yield chunk["path"], int(chunk["bytes"]), chunk["digest"]
    for variant in manifest["variants"]:
        if "expansion" in variant:
            expansion = variant["expansion"]
            yield expansion["path"], int(expansion["bytes"]), expansion["digest"]


def _check_bytes(manifest: ManifestDocument, what: str) -> None:
    rules = limits()["manifest"]
    max_file, max_total = rules["file_bytes"], rules["total_bytes"]
    for path, size, _ in _parts(manifest):
        if size > max_file:
            raise _unsound(what, f"{path} has {size} bytes, over {max_file}")
    total = sum(int(file["bytes"]) for file in manifest["files"])
    total += sum(int(v["expansion"]["bytes"]) for v in manifest["variants"] if "expansion" in v)
    if total > max_total:
        raise _unsound(what, f"its files have over {max_total} bytes")


def _check_digests(manifest: ManifestDocument, what: str) -> None:
    sizes: dict[str, int] = {}
    for path, size, digest in _parts(manifest):
        if sizes.setdefault(digest, size) != size:
            raise _unsound(what, f"{path} has the digest of something of another length")


def _check_counts(manifest: ManifestDocument, what: str) -> None:
    taps = [tap for variant in manifest["variants"] for tap in _tap_bytes(variant)]
    packs = manifest.get("lens_packs", ())
    taps += [tap["bytes"] for pack in packs for own in pack["taps"].values() for tap in own]
    dictionaries = manifest.get("dictionaries", ())
    taps += [tap["bytes"] for each in dictionaries for tap in each["taps"].values()]
    rules = limits()["manifest"]
    chunks = sum(len(file.get("chunks", ())) for file in manifest["files"])
    characters = sum(map(len, taps))
    for name, count, limit in (
        ("chunks", chunks, rules["chunks"]),
        ("taps", len(taps), rules["taps"]),
        ("tap characters", characters, rules["tap_characters"]),
    ):
        if count > limit:
            raise _unsound(what, f"it has over {limit} {name}")


def _tap_bytes(variant: Variant) -> Iterator[str]:
    yield from (tap["bytes"] for tap in variant["taps"])
    if "attribution" in variant:
        attribution = variant["attribution"]
        yield from (attribution["model"], *attribution["layers"], *attribution["neurons"])


def _check_paths(manifest: ManifestDocument, what: str) -> None:
    files = manifest["files"]
    chunked = {file["path"] for file in files if "chunks" in file}
    chunks = {chunk["path"] for file in files for chunk in file.get("chunks", ())}
    own = sorted(chunked & chunks)
    if own:
        raise _unsound(what, f"{own[0]} is cut into chunks and a chunk itself")
    given = [file["path"] for file in files]
    _check_places(what, [MANIFEST, *given, *sorted(chunks - set(given))])


def _check_own_paths(variant: Variant, what: str) -> None:
    """Check that the variant's graphs, their weights and the file that these expand to are
    different files."""
    paths = [record["path"] for record in graphs_of(variant).values()]
    _check_places(what, [MANIFEST, *paths, *variant["weights"]])
    if "expansion" in variant:
        _check_places(what, [MANIFEST, *paths, variant["expansion"]["path"]])
        if variant["expansion"]["path"] in variant["weights"]:
            raise _unsound(what, "its weights expand to themselves")


def _check_places(what: str, paths: Iterable[str]) -> None:
    """Check that the paths name different files, also where upper and lower case are the same, and
    that no file is another's folder."""
    taken: set[str] = set()
    folders: set[str] = set()
    for path in paths:
        place = path.lower()
        if place in taken or place in folders:
            raise _unsound(what, f"{path} stands where another file does")
        taken.add(place)
        at = place.find("/")
        while at >= 0:
            folder = place[:at]
            if folder in taken:
                raise _unsound(what, f"{path} lies in another file")
            folders.add(folder)
            at = place.find("/", at + 1)
