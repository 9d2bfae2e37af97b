// Dashboards as the page reads them: rows equal to those that pyarrow reads of the same files, ranges joined from chunks
// and cut from whole files, and what isn't as its digest or its bounds say refused.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import {
  RangeSource,
  rangeFile,
  stretchesOf,
} from '../../apps/web/src/bundle/dashboards/range_source';
import { readRows, type UnitRow } from '../../apps/web/src/bundle/dashboards/unit_rows';
import { FileByteSource } from '../../apps/web/src/bundle/sources/file_source';
import type { ByteSource } from '../../apps/web/src/bundle/sources/byte_source';
import type { DashboardFile, FileDescriptor } from '../../apps/web/src/contract/generated';

/** Writes a table of 40 units with the writer of dashboards, and prints what pyarrow reads back of it. */
const PROGRAM = `
import json, sys
from pathlib import Path
import numpy as np, pyarrow as pa
from pyarrow import parquet
from oriel.dashboards.write_set import _write_file
rng = np.random.default_rng(3)
n = 40
f = lambda: pa.array(rng.normal(size=n).astype("float32"))
names = "mean deviation kurtosis largest smallest threshold firing positive token_entropy histogram_low histogram_high".split()
ints = lambda top, k=3: pa.array([rng.integers(0, top, size=(u % k)).astype("int32") for u in range(n)])
floats = lambda k=3: pa.array([rng.normal(size=(u % k)).astype("float32") for u in range(n)])
table = {"unit": pa.array(np.arange(n, dtype="int32")), **{name: f() for name in names}}
table["histogram"] = pa.array([rng.integers(0, 2**40, size=64) for _ in range(n)])
table |= {"firing_tokens": ints(100), "firing_shares": floats(), "promoted": ints(100), "promoted_by": floats()}
table |= {"suppressed": ints(100, 1), "suppressed_by": floats(1)}
table |= {"neighbour_groups": ints(1), "neighbour_units": ints(n), "neighbour_overlaps": floats()}
table |= {f"passage_{k}": ints(2**31 - 1) for k in ("shards", "contexts", "positions")}
table["passage_peaks"] = ints(1)
table["passage_tokens"] = pa.array([[rng.integers(0, 100, size=5).astype("int32") for _ in range(u % 3)] for u in range(n)], pa.list_(pa.list_(pa.int32())))
table["passage_values"] = pa.array([[rng.normal(size=5).astype("float32") for _ in range(u % 3)] for u in range(n)], pa.list_(pa.list_(pa.float32())))
folder = Path(sys.argv[1])
print(json.dumps({"file": _write_file(folder, "t.parquet", pa.table(table)), "rows": parquet.read_table(folder / "t.parquet").to_pylist()}))
`;

interface Made {
  readonly file: DashboardFile;
  readonly rows: readonly Record<string, unknown>[];
}

const bounds = { vocab: 100, groups: [40] };
let made: Made;
let bytes: Uint8Array<ArrayBuffer>;
beforeAll(() => {
  const folder = mkdtempSync(join(tmpdir(), 'oriel-dashboards-'));
  const python = process.env['ORIEL_PYTHON'] ?? '.venv/bin/python';
  const output = execFileSync(python, ['-c', PROGRAM, folder], {
    env: { ...process.env, PYTHONPATH: 'tools/model-export' },
    maxBuffer: 2 ** 26,
  });
  made = JSON.parse(output.toString()) as Made;
  bytes = new Uint8Array(readFileSync(join(folder, 't.parquet')));
  rmSync(folder, { recursive: true });
}, 60_000);

function part({ begin, bytes: length }: { begin: number; bytes: number }): Uint8Array<ArrayBuffer> {
  return bytes.slice(begin, begin + length);
}

function read(group: number, within = bounds): Promise<UnitRow[]> {
  const rows = made.file.row_groups[group];
  if (rows === undefined) throw new Error('no such group');
  return readRows(made.file, rows, 0, { footer: part(made.file.footer), rows: part(rows) }, within);
}

test('each row is what pyarrow reads', async () => {
  const rows = [...(await read(0)), ...(await read(1))];
  expect(rows.length).toBe(40);
  for (const [at, row] of rows.entries()) {
    const right = made.rows[at] ?? {};
    const list = (name: string): unknown[] => right[name] as unknown[];
    expect(row.unit).toBe(right['unit']);
    for (const [name, value] of Object.entries(row.scores)) expect(value).toBe(right[name]);
    expect(row.histogram.counts).toEqual(list('histogram'));
    expect([row.histogram.low, row.histogram.high]).toEqual([
      right['histogram_low'],
      right['histogram_high'],
    ]);
    expect(row.firing.map(({ id }) => id)).toEqual(list('firing_tokens'));
    expect(row.firing.map(({ value }) => value)).toEqual(list('firing_shares'));
    expect(row.promoted.map(({ value }) => value)).toEqual(list('promoted_by'));
    expect(row.neighbours.map(({ unit }) => unit)).toEqual(list('neighbour_units'));
    expect(row.passages.map(({ ids }) => ids)).toEqual(list('passage_tokens'));
    expect(row.passages.map(({ values }) => values)).toEqual(list('passage_values'));
    expect(row.passages.map(({ position }) => position)).toEqual(list('passage_positions'));
  }
});

test('token ids, neighbours and bytes that can’t be are refused', async () => {
  const refused = { data: { kind: 'integrity', path: 't.parquet' } };
  await expect(read(0, { ...bounds, vocab: 5 })).rejects.toMatchObject(refused);
  await expect(read(0, { ...bounds, groups: [2] })).rejects.toMatchObject(refused);
  const [rows] = made.file.row_groups;
  if (rows === undefined) throw new Error('no group');
  const cut = { footer: part(made.file.footer), rows: part(rows).slice(0, 100) };
  await expect(readRows(made.file, rows, 0, cut, bounds)).rejects.toMatchObject(refused);
  const other = { footer: new Uint8Array(40), rows: part(rows) };
  await expect(readRows(made.file, rows, 0, other, bounds)).rejects.toMatchObject(refused);
});

async function opened(source: ByteSource, path: string, from = 0): Promise<Uint8Array> {
  const stream = await source.open(path, new AbortController().signal, { from });
  return new Uint8Array(await new Response(stream.chunks).arrayBuffer());
}

const whole = Uint8Array.from({ length: 100 }, (_, at) => at);
const digest = `sha256:${'0'.repeat(64)}`;
const chunked: FileDescriptor = {
  ...{ path: 'f', media_type: 'application/octet-stream', bytes: 100, digest },
  chunks: [0, 40, 60].map((begin, at) => ({
    path: `c${at}`,
    bytes: [40, 20, 40][at] ?? 0,
    digest: `${digest}${begin}`,
  })),
};
const range = { begin: 30, bytes: 50, digest };

test('a range is joined from the chunks that hold it, also from where a connection broke', async () => {
  const files = new Map(
    [0, 40, 60].map((begin, at) => [
      `c${at}`,
      new File([whole.slice(begin, [40, 60, 100][at])], `c${at}`),
    ]),
  );
  const source = new RangeSource(new FileByteSource(files), chunked, [range]);
  const { path } = rangeFile(chunked, range);
  expect(await opened(source, path)).toEqual(whole.slice(30, 80));
  expect(await opened(source, path, 25)).toEqual(whole.slice(55, 80));
  expect(stretchesOf(chunked, 40, 60).map(({ path: of }) => of)).toEqual(['c1']);
});

test('a host that ignores ranges sends a file of which the rest is cut, and too large a one is refused', async () => {
  const ignoring: ByteSource = {
    locate: (path) => `https://host/${path}`,
    open: () => Promise.resolve({ chunks: new Blob([whole]).stream(), isHtml: false, start: 0 }),
  };
  const file: FileDescriptor = { path: 'f', media_type: '', bytes: 100, digest };
  const { path } = rangeFile(file, range);
  expect(await opened(new RangeSource(ignoring, file, [range]), path)).toEqual(whole.slice(30, 80));
  const large = new RangeSource(ignoring, { ...file, bytes: 2 ** 30 }, [range]);
  await expect(opened(large, path)).rejects.toMatchObject({
    data: { kind: 'no-ranges', url: 'https://host/f', got: 0, expected: 30 },
  });
});
