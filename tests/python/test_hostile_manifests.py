"""Manifests from anyone: each is taken whole and sound or refused in a line, and Python and the
page say the same of each."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from contract_examples import EXAMPLES, read_json
from hostile_manifests import hostile_manifest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import validators
from thorough import examples

from oriel.contract.documents import ManifestDocument
from oriel.contract.limits import limits
from oriel.contract.manifest import parse_manifest
from oriel.contract.strict_json import read_json as read_strictly
from oriel.contract.variant_graphs import graphs_of, tapped_graph
from oriel.errors import ContractError

ROOT = Path(__file__).resolve().parents[2]
TEXTS = read_json(EXAMPLES / "texts.json")
NEVER_STOPPED = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck))


def text_of(entry: dict[str, Any]) -> bytes:
    parts = [p if isinstance(p, str) else p[0] * p[1] for p in entry["parts"]]
    return "".join(parts).encode()


def accepted(raw: bytes) -> ManifestDocument | None:
    """The manifest, or None where it is refused, in one bounded line."""
    try:
        return parse_manifest(raw).data
    except ContractError as error:
        line = str(error)
        assert line.isprintable() and 0 < len(line) < 2100
        return None


@pytest.mark.parametrize("entry", TEXTS["refused"], ids=lambda entry: entry["why"])
def test_texts_that_readers_could_read_in_two_ways_are_refused(entry: dict[str, Any]) -> None:
    with pytest.raises(ContractError, match="safely"):
        read_strictly(text_of(entry), "text")


@pytest.mark.parametrize("entry", TEXTS["taken"], ids=lambda entry: entry["why"])
def test_other_texts_are_taken_as_they_are(entry: dict[str, Any]) -> None:
    raw = text_of(entry)
    assert read_strictly(raw, "text") == json.loads(raw)


def test_whole_numbers_are_ints_however_they_are_written() -> None:
    found = read_strictly(b"[1e3, 1000.0, -0.0, 2.5]", "text")
    assert isinstance(found, list)
    assert [(type(n), n) for n in found] == [(int, 1000), (int, 1000), (int, 0), (float, 2.5)]


@pytest.mark.parametrize("raw", [b'{"a": "\xff"}', "{}".encode("utf-16"), b"\xed\xa0\x80"])
def test_what_is_no_utf8_is_refused(raw: bytes) -> None:
    with pytest.raises(ContractError, match="safely"):
        read_strictly(raw, "text")


@settings(NEVER_STOPPED, max_examples=examples(1000), derandomize=True)
@given(st.integers(0, 2**48))
def test_a_hostile_manifest_is_sound_or_refused_in_a_line(seed: int) -> None:
    manifest = accepted(hostile_manifest(seed))
    if manifest is not None:
        assert_sound(manifest)


def assert_sound(manifest: ManifestDocument) -> None:
    """Check the properties that readers of a bundle rely on, independently of the parser."""
    files = manifest["files"]
    lists = [file.get("chunks") or [file] for file in files]
    parts = [part for parts in lists for part in parts]
    variants = manifest["variants"]
    expansions = [v["expansion"] for v in variants if "expansion" in v]
    for part in [*files, *parts, *expansions]:
        path = part["path"]
        assert re.fullmatch(r"[A-Za-z0-9_./-]+", path) and len(path) < 256
        assert all(p.strip(".") == p != "" for p in path.split("/"))
        assert path.split("/")[-1].lower() != "manifest.json" or "/" in path
        assert not {"con", "nul", "lpt1"} & {p.split(".")[0].lower() for p in path.split("/")}
        assert type(part["bytes"]) is int and 0 <= part["bytes"] <= 2**40
        assert re.fullmatch(r"sha256:[0-9a-f]{64}", part["digest"])
    assert sum(p["bytes"] for p in [*files, *expansions]) <= 2**42
    for file, chunks in zip(files, lists, strict=True):
        assert sum(chunk["bytes"] for chunk in chunks) == file["bytes"]
    contents = {part["digest"]: part["bytes"] for part in [*parts, *files, *expansions]}
    assert all(contents[p["digest"]] == p["bytes"] for p in [*parts, *files, *expansions])
    places = {part["path"]: part["digest"] for part in parts}
    assert all(places[part["path"]] == part["digest"] for part in parts)
    assert len({path.lower() for path in places}) == len(places)
    listed = {file["path"]: file for file in files}
    assert len(listed) == len(files)
    assert len({variant["name"] for variant in variants}) == len(variants)
    for variant in variants:
        tapped = tapped_graph(variant)
        graphs = [record["path"] for record in graphs_of(variant).values()]
        used = [*graphs, *variant["weights"]]
        assert set(used) <= set(listed) and len(set(used)) == len(used)
        names = [o["name"] for tap in variant["taps"] for o in tap["outputs"]]
        given_already = [o["name"] for o in tapped["activations"]["outputs"]]
        assert len({*names, *given_already}) == len(names) + len(given_already)
        if "expansion" in variant:
            assert variant["expansion"]["path"] not in used
            sizes = {"float32": 4, "float16": 2}
            for weight in variant["expansion"]["weights"]:
                count = 1
                for extent in weight["shape"]:
                    count *= extent
                end = weight["at"] + count * sizes[variant["expansion"]["dtype"]]
                assert end <= variant["expansion"]["bytes"]
                assert weight["values"] < listed[variant["weights"][0]]["bytes"]


@pytest.mark.parametrize(
    ("example", "limit", "maximum", "said"),
    [
        ("whole", "taps", 5, "over 5 taps"),
        ("whole", "tap_characters", 100, "over 100 tap characters"),
        ("chunked", "chunks", 4, "over 4 chunks"),
        ("encoded", "total_bytes", 9000, "over 9000 bytes"),
        ("encoded", "file_bytes", 2000, "over 2000"),
    ],
)
def test_what_a_manifest_adds_up_to_is_limited(
    example: str, limit: str, maximum: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = (EXAMPLES / "valid" / f"manifest__{example}.json").read_bytes()
    assert accepted(raw) is not None
    monkeypatch.setitem(limits()["manifest"], limit, maximum)
    with pytest.raises(ContractError, match=said):
        parse_manifest(raw)


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda t: t.encode("utf-8", "replace")))
@settings(NEVER_STOPPED, max_examples=examples(1000))
def test_any_bytes_at_all_are_refused_in_a_line(raw: bytes) -> None:
    assert accepted(raw) is None


def many(part: str, count: int) -> bytes:
    """The least manifest with something in it so many times."""
    manifest = read_json(EXAMPLES / "valid" / "manifest__whole.json")
    if part == "files":
        manifest["files"] *= count // len(manifest["files"])
    elif part == "taps":
        variant = manifest["variants"][0]
        variant["taps"] *= count // len(variant["taps"])
    elif part == "variants":
        manifest["variants"] *= count // len(manifest["variants"])
    return json.dumps(manifest).encode()


@pytest.mark.parametrize(("part", "count"), [("files", 10_000), ("taps", 90_000)])
def test_a_list_that_is_too_long_is_refused_before_its_items_are_read(
    part: str, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from oriel.contract import activation_contract

    seen = 0
    pattern = activation_contract._pattern

    def counted(*words: Any) -> Any:
        nonlocal seen
        seen += 1
        return pattern(*words)

    raw = many(part, count)
    counting = validators.extend(  # type: ignore[no-untyped-call]
        activation_contract._Validator, {"pattern": counted}
    )
    monkeypatch.setattr(activation_contract, "_Validator", counting)
    activation_contract.validator.cache_clear()
    try:
        with pytest.raises(ContractError, match=part):
            parse_manifest(raw)
    finally:
        activation_contract.validator.cache_clear()
    assert seen < 2000


def test_python_and_the_page_say_the_same(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None or not (ROOT / "node_modules/vite").is_dir():
        pytest.skip("needs node and the page's packages")
    hostile = [hostile_manifest(seed) for seed in range(examples(2500))]
    kinds = ("refused", "taken")
    texts = [text_of(e) for kind in kinds for e in TEXTS[kind] if "values" not in e["why"]]
    raws = [*hostile, *texts]
    lines = "\n".join(base64.b64encode(raw).decode() for raw in raws)
    run = subprocess.run(
        [node, str(ROOT / "tests/web/judge_manifests.mjs")],
        input=lines,
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert run.returncode == 0, run.stderr
    page = json.loads(run.stdout)
    assert len(page) == len(raws)
    differ = []
    taken = 0
    for raw, verdict in zip(raws, page, strict=True):
        assert len(verdict) < 1000 and verdict.isprintable()
        manifest = accepted(raw)
        ours = manifest is not None
        if manifest is not None:
            assert_sound(manifest)
        taken += ours
        if ours != (verdict == "taken"):
            try:
                parse_manifest(raw)
                said = "taken"
            except ContractError as error:
                said = str(error)
            differ.append(f"python: {said}; page: {verdict}")
    assert not differ, f"{len(differ)} of {len(raws)}: " + "\n".join(differ[:8])
    # Neither reader refuses all.
    assert len(raws) // 15 < taken < len(raws) - len(raws) // 15
