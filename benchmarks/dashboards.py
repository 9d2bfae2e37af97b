"""Measures `oriel dashboards` on the bundled model: tokens a second beside the bare model, two
workers of Ray beside one, peak memory, bytes of the files, and requests and bytes of one unit.

Run it by `python benchmarks/dashboards.py --tokens 10000000`; it prints one JSON object.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "apps" / "web" / "static" / "models" / "demo"
EXPORTER = ROOT / "tools" / "model-export"
_SHARD_TOKENS = 130_000
"""Tokens of a shard of the generator, about."""
_EVERY = 37
"""Every so many units of a layer are read as a page reads them."""


def main() -> int:
    """Run the measurements that are asked for and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, default=DEMO)
    parser.add_argument("--tokens", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3, help="of the bare model and of reducing")
    parser.add_argument("--kinds", default="mlp_act")
    parser.add_argument("--ray-tokens", type=int, default=0, help="0: without Ray")
    arguments = parser.parse_args()
    found: dict[str, object] = {"cores": os.cpu_count(), "load": os.getloadavg()[0]}
    found["speed"] = speed(arguments.bundle, arguments.kinds, arguments.rounds)
    with TemporaryDirectory(prefix="oriel-bench-") as work:
        out = Path(work) / "set"
        found["run"] = command(arguments.bundle, out, arguments.kinds, arguments.tokens)
        found["files"] = sizes(out)
        found["page"] = page(out)
        if arguments.ray_tokens:
            found["ray"] = [
                command(
                    arguments.bundle,
                    Path(work) / f"ray{workers}",
                    arguments.kinds,
                    arguments.ray_tokens,
                    ["--ray", "local", "--workers", str(workers), "--threads", "1"],
                )
                for workers in (1, 2)
            ]
    print(json.dumps(found, indent=1))
    return 0


def speed(bundle: Path, kinds: str, rounds: int) -> dict[str, object]:
    """Return tokens a second of the model alone and of whole shards, in turns, on the same texts.

    The model alone gets the same batches as arrays, one after another with all cores, so that
    reading, tokenizing and reducing are all on the other side.
    """
    from oriel.contract.manifest import read_manifest
    from oriel.dashboards.contexts import context_reader
    from oriel.dashboards.corpus import open_corpus
    from oriel.dashboards.model_run import ModelRun, batch_rows
    from oriel.dashboards.partial import Partial
    from oriel.dashboards.reduce import Bounds
    from oriel.dashboards.reduce_shard import ShardReducer
    from oriel.dashboards.units import sizes_of, unit_groups

    manifest = read_manifest(bundle)
    groups = unit_groups(manifest.shape, kinds.split(","), manifest.data.get("dictionaries", ()))
    corpus = open_corpus([], None, (rounds + 1) * _SHARD_TOKENS)
    reader, model = context_reader(bundle, manifest), ModelRun(bundle, manifest, groups, runs=1)
    shards = ShardReducer(corpus, reader, ModelRun(bundle, manifest, groups), groups)
    ranges, state = shards.ranges(), Partial.empty(sizes_of(groups))
    rows = batch_rows(groups, reader.length)
    full = [c.ids for c in reader.contexts(corpus.documents(0)) if len(c.ids) == reader.length]
    batches = [np.stack(full[at : at + rows]) for at in range(0, len(full) - rows + 1, rows)]
    bare, whole = [], []
    # The first round fills what is empty: every passage is among the strongest then.
    for shard in range(rounds + 1):
        began, before = time.perf_counter(), time.process_time()
        for batch in batches:
            model(batch)
        tokens = sum(batch.size for batch in batches)
        bare.append(_Rate.of(tokens, began, before))
        began, before = time.perf_counter(), time.process_time()
        made = shards.reduce(shard, ranges, Bounds.of(state))
        state.join(made)
        whole.append(_Rate.of(made.totals.tokens, began, before))
    shares = [ours.second / theirs.second for ours, theirs in zip(whole, bare, strict=True)]
    of_processor = [
        theirs.processor / ours.processor for ours, theirs in zip(whole, bare, strict=True)
    ]
    return {
        "bare_tokens_a_second": [round(each.second) for each in bare],
        "tokens_a_second": [round(each.second) for each in whole],
        "share_of_bare": [round(each, 3) for each in shares],
        "median_share_after_the_first": round(statistics.median(shares[1:]), 3),
        "bare_processor_us_a_token": [round(each.processor * 1e6, 1) for each in bare],
        "processor_us_a_token": [round(each.processor * 1e6, 1) for each in whole],
        "processor_share": [round(each, 3) for each in of_processor],
    }


@dataclass(frozen=True)
class _Rate:
    """Tokens a second of the clock, and seconds of all cores for each token: the second says the
    same on a machine that others use too."""

    second: float
    processor: float

    @staticmethod
    def of(tokens: int, began: float, before: float) -> _Rate:
        """Return the rate since `began` of the clock and `before` of the processor's time."""
        return _Rate(
            tokens / (time.perf_counter() - began), (time.process_time() - before) / tokens
        )


def command(
    bundle: Path, out: Path, kinds: str, tokens: int, more: Sequence[str] = ()
) -> dict[str, object]:
    """Run the command in a process of its own. Return its tokens a second, with start and writing,
    its processor time, and its peak memory in MB, without Ray's other processes."""
    words = [sys.executable, "-m", "oriel", "dashboards", str(bundle), "--out", str(out)]
    words += ["--kinds", kinds, "--tokens", str(tokens), "--json", *more]
    path = os.pathsep.join([str(EXPORTER), os.environ.get("PYTHONPATH", "")])
    began = time.perf_counter()
    process = subprocess.Popen(
        words, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    if status != 0:
        raise SystemExit(f"{' '.join(words)} ended with {os.waitstatus_to_exitcode(status)}")
    return {
        "arguments": list(more),
        "tokens": tokens,
        "seconds": round(seconds, 1),
        "tokens_a_second": round(tokens / seconds),
        "processor_seconds": round(usage.ru_utime + usage.ru_stime, 1),
        "peak_mb": round(usage.ru_maxrss / 1e3),
    }


def sizes(out: Path) -> dict[str, object]:
    """Return the bytes of a set's files."""
    files = list(out.iterdir())
    indexes = [json.loads(file.read_bytes()) for file in out.glob("*_*.json")]
    return {
        "units": sum(index["units"] for index in indexes),
        "mb": round(sum(file.stat().st_size for file in files) / 1e6, 1),
        "files": len(files),
    }


def page(out: Path) -> dict[str, int]:
    """Read units as the page does, over HTTP by range from loopback. Return the most requests and
    bytes that one took, the index of its layer among them."""
    most = {"requests": 0, "bytes": 0, "units_read": 0}
    record = json.loads((out / "dashboards.json").read_bytes())
    with serving(out) as (address, log):
        for group in record["groups"]:
            for unit in range(0, group["units"], _EVERY):
                log.clear()
                _read_unit(address, group["path"], unit)
                most["requests"] = max(most["requests"], len(log))
                most["bytes"] = max(most["bytes"], sum(log))
                most["units_read"] += 1
    return most


def _read_unit(address: str, path: str, unit: int) -> None:
    """Fetch the index, the footer and the group of rows of a unit, check both ranges by their
    digests, and read the row."""
    from pyarrow import parquet

    index = json.loads(_fetch(f"{address}/{path}"))
    file, within = _holding(index["files"], unit)
    rows, row = _holding(file["row_groups"], within)
    sparse = bytearray(file["bytes"])
    for part in (file["footer"], rows):
        data = _fetch(f"{address}/{file['path']}", part["begin"], part["bytes"])
        if f"sha256:{hashlib.sha256(data).hexdigest()}" != part["digest"]:
            raise SystemExit(f"{file['path']} has other bytes at {part['begin']}")
        sparse[part["begin"] : part["begin"] + len(data)] = data
    at = file["row_groups"].index(rows)
    found = parquet.ParquetFile(io.BytesIO(sparse)).read_row_group(at).slice(row, 1)
    if found["unit"].to_pylist() != [unit]:
        raise SystemExit(f"unit {unit} of {path} isn't where its index says")


def _holding(parts: Sequence[dict[str, Any]], unit: int) -> tuple[dict[str, Any], int]:
    """Return the part that holds a unit, and the unit's place in it."""
    for part in parts:
        if unit < part["units"]:
            return part, unit
        unit -= part["units"]
    raise SystemExit(f"no part holds unit {unit}")


def _fetch(url: str, begin: int | None = None, size: int = 0) -> bytes:
    headers = {} if begin is None else {"Range": f"bytes={begin}-{begin + size - 1}"}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as answer:
        return bytes(answer.read())


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, list[int]]]:
    """Serve a folder's files and their ranges; yield the address, and the bytes of each answer."""
    log: list[int] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = (folder / self.path.rpartition("/")[2]).read_bytes()
            asked = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
            part = data[int(asked[1]) : int(asked[2]) + 1] if asked else data
            self.send_response(206 if asked else 200)
            self.send_header("Content-Length", str(len(part)))
            self.end_headers()
            log.append(len(part))
            self.wfile.write(part)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", log
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    sys.exit(main())
