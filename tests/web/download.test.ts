// What opening a model fetches: every byte once, proven, wherever it comes from and however the line breaks.
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { afterEach, expect, test, vi } from 'vitest';
import type { BundleErrorData } from '../../apps/web/src/bundle/bundle_error';
import { BundleError } from '../../apps/web/src/bundle/bundle_error';
import type { ByteSource } from '../../apps/web/src/bundle/sources/byte_source';
import {
  noStore,
  type ChunkStore,
  type StoredPiece,
} from '../../apps/web/src/bundle/storage/chunk_store';
import { pieceInMemory } from '../../apps/web/src/bundle/storage/piece_in_memory';
import { PieceRanges } from '../../apps/web/src/bundle/weights/piece_ranges';
import { openWeights } from '../../apps/web/src/bundle/weights/weights_file';
import { sha256Digest } from '../../apps/web/src/bundle/download/digest';
import {
  downloadFiles,
  weightsOf,
  type Download,
} from '../../apps/web/src/bundle/download/download';
import type { DownloadState } from '../../apps/web/src/bundle/download/download_progress';
import { maxFileBytes } from '../../apps/web/src/bundle/download/file_memory';
import { retryPolicy } from '../../apps/web/src/bundle/download/retry_policy';
import type { Expansion, FileDescriptor, Variant } from '../../apps/web/src/contract/generated';
import { examples } from './thorough';

type Bytes = Uint8Array<ArrayBuffer>;

/** What one answer does: its bytes from `from` on in pieces, then how it ends. */
interface Answer {
  readonly bytes: Bytes;
  readonly upTo?: number;
  readonly ends?: 'whole' | 'broken' | 'never';
  readonly wholeOnly?: boolean;
  readonly fails?: BundleErrorData;
  readonly isHtml?: boolean;
}

interface Asked {
  readonly path: string;
  readonly from: number;
  readonly cache: RequestCache | undefined;
}

function digest(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

function describe(path: string, bytes: Uint8Array): FileDescriptor {
  return { path, media_type: 'any/thing', bytes: bytes.length, digest: digest(bytes) };
}

/** Each path's answers in turn, the last one again and again. */
function scripted(answers: Record<string, readonly Answer[]>): {
  source: ByteSource;
  asked: Asked[];
} {
  const asked: Asked[] = [];
  const turns = new Map<string, number>();
  const source: ByteSource = {
    locate: (path) => `memory:${path}`,
    open: (path, signal, { from = 0, cache } = {}) => {
      asked.push({ path, from, cache });
      const turn = turns.get(path) ?? 0;
      turns.set(path, turn + 1);
      const script = answers[path] ?? [];
      const answer = script[Math.min(turn, script.length - 1)];
      if (answer === undefined || answer.fails !== undefined) {
        const url = `memory:${path}`;
        return Promise.reject(
          new BundleError(answer?.fails ?? { kind: 'not-found', url, status: 404 }),
        );
      }
      const start = answer.wholeOnly === true ? 0 : from;
      let at = start;
      const end = answer.upTo ?? answer.bytes.length;
      const chunks = new ReadableStream<Bytes>(
        {
          pull(controller) {
            if (at < end) {
              controller.enqueue(answer.bytes.slice(at, Math.min(at + 3, end)));
              at += 3;
            } else if (answer.ends === 'broken') controller.error(new TypeError('network error'));
            else if (answer.ends === 'never') {
              return new Promise((_, reject) => {
                const end = (): void => {
                  reject(new DOMException('aborted', 'AbortError'));
                };
                if (signal.aborted) end();
                else signal.addEventListener('abort', end);
              });
            } else controller.close();
            return undefined;
          },
        },
        { highWaterMark: 0 },
      );
      return Promise.resolve({ isHtml: answer.isHtml ?? false, chunks, start });
    },
  };
  return { source, asked };
}

/** Keeps like the browser's, in memory; `room` is in bytes. */
class MemoryStore implements ChunkStore {
  readonly keeps = true;
  readonly held = new Map<string, Bytes>();
  room = Infinity;

  async read(wanted: string, into: Bytes): Promise<boolean> {
    const found = this.held.get(wanted);
    if (found?.length !== into.length) return false;
    into.set(found);
    return (await sha256Digest(into)) === wanted;
  }

  open(wanted: string, bytes: number): Promise<StoredPiece | null> {
    const found = this.held.get(wanted);
    return Promise.resolve(found?.length === bytes ? pieceInMemory(found) : null);
  }

  write(given: string, bytes: Bytes): ReturnType<ChunkStore['write']> {
    if (bytes.length > this.room) return Promise.resolve('no-room');
    this.room -= bytes.length;
    this.held.set(given, new Uint8Array(bytes));
    return Promise.resolve('kept');
  }
}

interface Setting {
  readonly store?: ChunkStore;
  readonly weights?: readonly string[];
  readonly signal?: AbortSignal;
  readonly onProgress?: (state: DownloadState) => void;
}

/** No real waiting; a tenth of a second is a standstill. */
const quick = {
  ...retryPolicy,
  firstWaitMs: 1,
  maxWaitMs: 2,
  stallMs: 100,
  worthwhileBytes: 4,
};

function download(
  source: ByteSource,
  files: readonly FileDescriptor[],
  { store = noStore, weights = [], signal, onProgress }: Setting = {},
): Promise<Download> {
  const context = { store, retryPolicy: quick, signal: signal ?? new AbortController().signal };
  return downloadFiles(source, files, new Set(weights), context, onProgress ?? (() => undefined));
}

async function failure(promise: Promise<unknown>): Promise<BundleErrorData> {
  const error = await promise.then(
    () => new Error('it went well'),
    (reason: unknown) => reason,
  );
  return (error as { data: BundleErrorData }).data;
}

afterEach(() => {
  vi.unstubAllGlobals();
});

const text = Uint8Array.from({ length: 20 }, (_, index) => index * 7);
const cut = (upTo: number): Answer => ({ bytes: text, upTo, ends: 'broken' });

const someBytes = fc
  .uint8Array({ minLength: 1, maxLength: 60 })
  .map((bytes) => new Uint8Array(bytes));

test('files arrive as they were, whole or in chunks', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(someBytes, { minLength: 1, maxLength: 8 }), async (parts) => {
      const whole = new Uint8Array(Buffer.concat(parts));
      const chunks = parts.map((part, index) => {
        const { path, bytes, digest } = describe(`chunks/${index}`, part);
        return { path, bytes, digest };
      });
      const { source } = scripted({
        whole: [{ bytes: whole }],
        ...Object.fromEntries(parts.map((part, index) => [`chunks/${index}`, [{ bytes: part }]])),
      });
      const states: DownloadState[] = [];
      const { files } = await download(
        source,
        [describe('whole', whole), { ...describe('joined', whole), chunks }],
        { onProgress: (state) => states.push(state) },
      );
      expect(files.get('whole')).toEqual(whole);
      expect(files.get('joined')).toEqual(whole);
      expect(states.at(-1)).toEqual({
        receivedBytes: 2 * whole.length,
        totalBytes: 2 * whole.length,
        keptBytes: 0,
        waiting: null,
      });
    }),
    { numRuns: examples(60) },
  );
});

test('any change of any byte is refused, after it was asked for once more past the HTTP cache', async () => {
  const change = fc.record({ at: fc.nat(), flip: fc.integer({ min: 1, max: 255 }) });
  await fc.assert(
    fc.asyncProperty(someBytes, change, async (original, { at, flip }) => {
      const damaged = new Uint8Array(original);
      const index = at % damaged.length;
      damaged[index] = (damaged[index] ?? 0) ^ flip;
      const { source, asked } = scripted({ a: [{ bytes: damaged }] });
      expect(await failure(download(source, [describe('a', original)]))).toEqual({
        ...{ kind: 'integrity', path: 'a' },
        ...{ expected: digest(original), got: digest(damaged) },
      });
      expect(asked.map(({ cache }) => cache)).toEqual(['default', 'reload']);
    }),
    { numRuns: examples(60) },
  );
});

test('a byte that flips once is mended by asking again', async () => {
  const flipped = text.map((byte, index) => (index === 9 ? byte ^ 1 : byte));
  const { source } = scripted({ a: [{ bytes: flipped }, { bytes: text }] });
  const { files } = await download(source, [describe('a', text)]);
  expect(files.get('a')).toEqual(text);
});

test('a broken line goes on where it was: no byte travels twice', async () => {
  const { source, asked } = scripted({ a: [cut(5), cut(11), cut(19), { bytes: text }] });
  const waits: DownloadState['waiting'][] = [];
  const { files } = await download(source, [describe('a', text)], {
    onProgress: ({ waiting }) => waits.push(waiting),
  });
  expect(files.get('a')).toEqual(text);
  expect(asked.map(({ from }) => from)).toEqual([0, 5, 11, 19]);
  expect(waits.filter((waiting) => waiting?.reason === 'again')).toHaveLength(3);
  expect(waits.at(-1)).toBeNull();
});

test('a server that gives whole files only is begun again, and what was wrong before is forgotten', async () => {
  const wrong = { bytes: new Uint8Array(20).fill(255), upTo: 9, ends: 'broken' } as const;
  const { source } = scripted({ a: [wrong, { bytes: text, wholeOnly: true }] });
  const { files } = await download(source, [describe('a', text)]);
  expect(files.get('a')).toEqual(text);
});

test('parts of two versions of a file are not joined', async () => {
  const other = new Uint8Array(20).fill(255);
  const mixed = [{ bytes: other, upTo: 9, ends: 'broken' }, { bytes: text }] as const;
  const { source, asked } = scripted({ a: mixed });
  expect((await download(source, [describe('a', text)])).files.get('a')).toEqual(text);
  expect(asked.at(-1)).toEqual({ path: 'a', from: 0, cache: 'reload' });
});

test('a server in trouble is asked again, one that has no such file is not', async () => {
  const busy = { kind: 'server', url: 'memory:a', status: 503, retryAfterMs: 1 } as const;
  const { source } = scripted({
    a: [{ bytes: text, fails: busy }, { bytes: text, fails: busy }, { bytes: text }],
  });
  expect((await download(source, [describe('a', text)])).files.get('a')).toEqual(text);
  const gone = scripted({});
  expect(await failure(download(gone.source, [describe('a', text)]))).toMatchObject({
    ...{ kind: 'not-found', status: 404 },
  });
  expect(gone.asked).toHaveLength(1);
  const always = scripted({ a: [{ bytes: text, fails: busy }] });
  expect(await failure(download(always.source, [describe('a', text)]))).toEqual(busy);
  expect(always.asked).toHaveLength(quick.attempts);
});

test('a wait that no reader would bear is told at once', async () => {
  const tomorrow = {
    kind: 'server',
    url: 'memory:a',
    status: 429,
    retryAfterMs: 86_400_000,
  } as const;
  const { source, asked } = scripted({ a: [{ bytes: text, fails: tomorrow }] });
  expect(await failure(download(source, [describe('a', text)]))).toEqual(tomorrow);
  expect(asked).toHaveLength(1);
});

test('a connection that says nothing is made anew', async () => {
  const silent = { bytes: text, upTo: 6, ends: 'never' } as const;
  const { source, asked } = scripted({ a: [silent, { bytes: text }] });
  expect((await download(source, [describe('a', text)])).files.get('a')).toEqual(text);
  expect(asked.map(({ from }) => from)).toEqual([0, 6]);
  const mute = scripted({ b: [{ bytes: text, upTo: 0, ends: 'never' }] });
  expect(await failure(download(mute.source, [describe('b', text)]))).toEqual({
    ...{ kind: 'stalled', url: 'memory:b', ms: quick.stallMs },
  });
});

test('a file of another size is refused', async () => {
  const three = new Uint8Array([1, 2, 3]);
  const sizes = [new Uint8Array([1, 2, 3, 1, 2, 3]), three.slice(0, 2), three.slice(0, 0)];
  for (const bytes of sizes) {
    const { source } = scripted({ a: [{ bytes, wholeOnly: true }] });
    expect(await failure(download(source, [describe('a', three)]))).toMatchObject({
      ...{ kind: 'integrity', path: 'a', expected: '3 bytes' },
    });
  }
});

test('a size that no browser can hold is refused before anything is asked for', async () => {
  const { source, asked } = scripted({});
  const huge = { ...describe('a', new Uint8Array()), bytes: maxFileBytes + 1 };
  expect(await failure(download(source, [huge]))).toEqual({
    kind: 'too-large',
    path: 'a',
    bytes: maxFileBytes + 1,
    limit: maxFileBytes,
  });
  expect(asked).toEqual([]);
});

test('one bad file fails the whole download, and ends what is still on its way', async () => {
  const { source, asked } = scripted({
    slow: [{ bytes: text, upTo: 3, ends: 'never' }],
    bad: [{ bytes: new Uint8Array([2]) }],
  });
  const bad = describe('bad', new Uint8Array([1]));
  expect(await failure(download(source, [describe('slow', text), bad]))).toMatchObject({
    ...{ kind: 'integrity', path: 'bad' },
  });
  expect(asked.filter(({ path }) => path === 'slow')).toHaveLength(1);
});

test('an abort is told as one, whatever it meets', async () => {
  for (const answers of [
    [{ bytes: text, upTo: 3, ends: 'never' }],
    [{ bytes: text, fails: { kind: 'network', url: '', offline: false } }],
  ] as const) {
    const { source } = scripted({ a: answers });
    const stop = new AbortController();
    const failing = failure(download(source, [describe('a', text)], { signal: stop.signal }));
    stop.abort();
    expect(await failing).toEqual({ kind: 'aborted' });
  }
});

test('what the store has is not asked for, and counts as here', async () => {
  const store = new MemoryStore();
  const chunks = [text.slice(0, 8), text.slice(8)].map((part, index) => {
    const { path, bytes, digest } = describe(`chunks/${index}`, part);
    return { path, bytes, digest };
  });
  const file = { ...describe('w', text), chunks };
  const answers = { 'chunks/0': [{ bytes: text.slice(0, 8) }], 'chunks/1': [cut(0)] };
  const first = scripted(answers);
  expect(await failure(download(first.source, [file], { store }))).toMatchObject({
    kind: 'network',
  });
  expect(first.asked[0]).toMatchObject({ cache: 'no-store' });
  const second = scripted({ 'chunks/1': [{ bytes: text.slice(8) }] });
  const { files, keptBytes, isKept } = await download(second.source, [file], { store });
  expect(files.get('w')).toEqual(text);
  expect([keptBytes, isKept]).toEqual([8, true]);
  expect(second.asked.map(({ path }) => path)).toEqual(['chunks/1']);
  // At another address, under other names: the digest counts.
  const third = scripted({});
  const moved = await download(third.source, [{ ...file, path: 'x' }], { store });
  expect(moved.files.get('x')).toEqual(text);
  expect(moved.keptBytes).toBe(20);
});

test('a kept piece that is no longer what it was is fetched anew', async () => {
  const store = new MemoryStore();
  store.held.set(digest(text), new Uint8Array(text.length));
  const { source, asked } = scripted({ a: [{ bytes: text }] });
  expect((await download(source, [describe('a', text)], { store })).files.get('a')).toEqual(text);
  expect(asked).toHaveLength(1);
});

test('without room the model opens all the same, and says that it is not kept', async () => {
  const store = new MemoryStore();
  store.room = 10;
  const { source } = scripted({ a: [{ bytes: text }] });
  const { files, isKept } = await download(source, [describe('a', text)], { store });
  expect(files.get('a')).toEqual(text);
  expect(isKept).toBe(false);
});

test('bytes that two files share are fetched once', async () => {
  const { source, asked } = scripted({ same: [{ bytes: text }] });
  const { path, bytes, digest } = describe('same', text);
  const chunk = { path, bytes, digest };
  const file = { ...describe('both', new Uint8Array([...text, ...text])), chunks: [chunk, chunk] };
  const { files } = await download(source, [file]);
  expect(files.get('both')).toEqual(new Uint8Array([...text, ...text]));
  expect(asked).toHaveLength(1);
});

test('weights are kept in the store, or in memory if the store is full, and read from both', async () => {
  const chunks = [text.slice(0, 8), text.slice(8, 14), text.slice(14)].map((part, index) => {
    const { path, bytes, digest } = describe(`chunks/${index}`, part);
    return { path, bytes, digest };
  });
  const file = { ...describe('w', text), chunks };
  const answers = {
    'chunks/0': [{ bytes: text.slice(0, 8) }],
    'chunks/1': [{ bytes: text.slice(8, 14) }],
    'chunks/2': [{ bytes: text.slice(14) }],
  };
  for (const [room, held] of [
    [Infinity, 0],
    // The pieces have 8, 6 and 6 bytes; the store has room for one.
    [9, 2],
    [0, 3],
  ] as const) {
    const store = new MemoryStore();
    store.room = room;
    const { source, asked } = scripted(answers);
    const { files, weights, isKept } = await download(source, [file], { store, weights: ['w'] });
    expect(asked).toHaveLength(3);
    expect([...files.keys()]).toEqual([]);
    const pieces = weights.get('w') ?? [];
    expect(pieces.filter((piece) => piece.held !== null)).toHaveLength(held);
    expect(isKept).toBe(room === Infinity);
    const weightsFile = { path: 'w', pieces, expansion: null };
    const open = await openWeights(weightsFile, store);
    expect(open?.data.byteLength).toBe(text.length);
    expect(open?.data.subarray(0, text.length)).toEqual(text);
    expect(open?.data.subarray(5, 16)).toEqual(text.slice(5, 16));
    expect(() => open?.data.subarray(5, 21)).toThrow(RangeError);
    expect(open?.error()).toBeInstanceOf(RangeError);
    store.held.clear();
    const isLost = (await openWeights(weightsFile, store)) === null;
    expect(isLost).toBe(room > 0);
  }
});

test('buffers of stored pieces are reused, and no piece gets the bytes of another', async () => {
  const store = new MemoryStore();
  const parts = Array.from({ length: 30 }, (_, index) =>
    new Uint8Array(9 + (index % 3)).fill(index),
  );
  const whole = new Uint8Array(Buffer.concat(parts));
  const chunks = parts.map((part, index) => {
    const { path, bytes, digest } = describe(`chunks/${index}`, part);
    return { path, bytes, digest };
  });
  const { source } = scripted(
    Object.fromEntries(parts.map((bytes, index) => [`chunks/${index}`, [{ bytes }]])),
  );
  const given = vi.spyOn(store, 'write');
  const { weights } = await download(source, [{ ...describe('w', whole), chunks }], {
    store,
    weights: ['w'],
  });
  const open = await openWeights(
    { path: 'w', pieces: weights.get('w') ?? [], expansion: null },
    store,
  );
  expect(open?.data.subarray(0, whole.length)).toEqual(whole);
  expect(new Set(given.mock.calls.map(([, { buffer }]) => buffer)).size).toBeLessThanOrEqual(12);
});

test('expanded weights have the path that the graphs refer to', async () => {
  const encoded = new Uint8Array([0x00, 0x3c, 0x00, 0xc0]);
  const expansion: Expansion = {
    ...{ path: 'expanded', bytes: 8, digest: '', dtype: 'float32' },
    weights: [{ name: 'w', shape: [2], at: 0, layout: 'float16', values: 0 }],
  };
  const variant = { weights: ['encoded'], expansion } as unknown as Variant;
  const { source } = scripted({ encoded: [{ bytes: encoded }] });
  const { weights } = await download(source, [describe('encoded', encoded)], {
    weights: ['encoded'],
  });
  const [file] = weightsOf(variant, weights);
  const open = file && (await openWeights(file, noStore));
  expect(open?.path).toBe('expanded');
  expect([...new Float32Array(open?.data.subarray(0, 8).buffer ?? new ArrayBuffer(0))]).toEqual([
    1, -2,
  ]);
});

test('without SubtleCrypto, digests are the same', async () => {
  vi.stubGlobal('crypto', {});
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), async (bytes) => {
      const copy = new Uint8Array(bytes);
      expect(await sha256Digest(copy)).toBe(digest(copy));
    }),
  );
});

test('a large file is hashed while it arrives, with the same outcome', async () => {
  const large = new Uint8Array(17 * 2 ** 20);
  for (let index = 0; index < large.length; index += 4099) large[index] = index & 255;
  const open = (start: number, bytes: Bytes): ReturnType<ByteSource['open']> => {
    let at = start;
    const chunks = new ReadableStream<Bytes>({
      pull(controller) {
        if (at >= bytes.length) controller.close();
        else controller.enqueue(bytes.slice(at, (at += 2 ** 20)));
      },
    });
    return Promise.resolve({ isHtml: false, chunks, start });
  };
  const source = (bytes: Bytes): ByteSource => ({
    locate: (path) => path,
    open: (_path, _signal, { from = 0 } = {}) => open(from, bytes),
  });
  const { files } = await download(source(large), [describe('a', large)]);
  expect(Buffer.compare(files.get('a') ?? new Uint8Array(), large)).toBe(0);
  const flipped = large.slice();
  flipped[5000] = 1;
  expect(await failure(download(source(flipped), [describe('a', large)]))).toMatchObject({
    kind: 'integrity',
  });
});

test('a chunk that comes as a page is named', async () => {
  const [a, b] = [Uint8Array.of(1, 2), Uint8Array.of(3, 4)];
  const descriptor = {
    ...describe('w', Uint8Array.of(1, 2, 3, 4)),
    chunks: [describe('a', a), describe('b', b)],
  };
  const { source } = scripted({ a: [{ bytes: a }], b: [{ bytes: b, isHtml: true }] });
  expect(await failure(download(source, [descriptor]))).toEqual({
    kind: 'not-found',
    url: 'memory:b',
    status: 200,
  });
});

test('pieces are closed where another one of the file can not be opened', async () => {
  let isClosed = false;
  const piece = {
    read: () => undefined,
    close: () => {
      isClosed = true;
    },
  };
  const store: ChunkStore = {
    ...noStore,
    open: (digest) =>
      digest === 'good' ? Promise.resolve(piece) : Promise.reject(new Error('no')),
  };
  const proven = ['good', 'bad'].map((digest) => ({ digest, bytes: 1, held: null }));
  await expect(PieceRanges.open(proven, store)).rejects.toThrow('no');
  expect(isClosed).toBe(true);
});
