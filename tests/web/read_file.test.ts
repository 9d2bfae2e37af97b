// A file is its size and its digest, however it arrives.
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { afterEach, expect, test, vi } from 'vitest';
import type { BundleErrorData } from '../../apps/web/src/bundle/bundle_error';
import type { ByteSource } from '../../apps/web/src/bundle/byte_source';
import { ChunkedByteSource } from '../../apps/web/src/bundle/chunked_source';
import { sha256Digest } from '../../apps/web/src/bundle/digest';
import { downloadFiles } from '../../apps/web/src/bundle/download';
import { maxFileBytes, readFile } from '../../apps/web/src/bundle/read_file';
import type { Expansion, FileDescriptor } from '../../apps/web/src/contract/generated';

const never = new AbortController().signal;

function digest(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

function describe(path: string, bytes: Uint8Array): FileDescriptor {
  return { path, media_type: 'any/thing', bytes: bytes.length, digest: digest(bytes) };
}

/** Gives each path's chunks in turn. */
function memorySource(files: Record<string, readonly Uint8Array<ArrayBuffer>[]>): ByteSource {
  return {
    locate: (path) => `memory:${path}`,
    open: (path) => {
      const left = [...(files[path] ?? [])];
      const chunks = new ReadableStream<Uint8Array<ArrayBuffer>>({
        pull(controller) {
          const next = left.shift();
          if (next === undefined) controller.close();
          else controller.enqueue(next);
        },
      });
      return Promise.resolve({ isHtml: false, chunks });
    },
  };
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

const chunks = fc.array(fc.uint8Array({ maxLength: 50 }).map((bytes) => new Uint8Array(bytes)));

test('a file is read the same in whatever pieces it comes', async () => {
  await fc.assert(
    fc.asyncProperty(chunks, async (pieces) => {
      const whole = new Uint8Array(Buffer.concat(pieces));
      let counted = 0;
      const read = await readFile(
        memorySource({ a: pieces }),
        describe('a', whole),
        never,
        (count) => (counted += count),
      );
      expect(read).toEqual(whole);
      expect(counted).toBe(whole.length);
    }),
  );
});

test('any change of any byte is refused', async () => {
  const change = fc.record({ at: fc.nat(), flip: fc.integer({ min: 1, max: 255 }) });
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ minLength: 1 }), change, async (original, { at, flip }) => {
      const damaged = new Uint8Array(original);
      const index = at % damaged.length;
      damaged[index] = (damaged[index] ?? 0) ^ flip;
      const source = memorySource({ a: [damaged] });
      expect(
        await failure(readFile(source, describe('a', original), never, () => undefined)),
      ).toEqual({ kind: 'integrity', path: 'a', expected: digest(original), got: digest(damaged) });
    }),
  );
});

test('a file of another size is refused without reading on', async () => {
  const three = new Uint8Array([1, 2, 3]);
  for (const pieces of [[three, three], [three.subarray(0, 2)], []]) {
    expect(
      await failure(
        readFile(memorySource({ a: pieces }), describe('a', three), never, () => undefined),
      ),
    ).toMatchObject({ kind: 'integrity', path: 'a', expected: '3 bytes' });
  }
});

test('a size that no browser can hold is refused before anything is asked for', async () => {
  const source: ByteSource = {
    locate: (path) => path,
    open: () => Promise.reject(new Error('it was asked for')),
  };
  const huge = { ...describe('a', new Uint8Array()), bytes: maxFileBytes + 1 };
  expect(await failure(readFile(source, huge, never, () => undefined))).toEqual({
    kind: 'too-large',
    path: 'a',
    bytes: maxFileBytes + 1,
    limit: maxFileBytes,
  });
});

test('one bad file fails the whole download', async () => {
  const [good, bad] = [new Uint8Array([1]), new Uint8Array([2])];
  const source = memorySource({ good: [good], bad: [good] });
  expect(
    await failure(
      downloadFiles(
        source,
        [describe('good', good), describe('bad', bad)],
        new Map(),
        never,
        () => undefined,
      ),
    ),
  ).toMatchObject({ kind: 'integrity', path: 'bad' });
});

test('weights that are expanded lie where the graphs look, and only once their own bytes are proven', async () => {
  const encoded = new Uint8Array([0x00, 0x3c, 0x00, 0xc0]);
  const expansion: Expansion = {
    ...{ path: 'expanded', bytes: 8, digest: '', dtype: 'float32' },
    weights: [{ name: 'w', shape: [2], at: 0, layout: 'float16', values: 0 }],
  };
  const expansions = new Map([['encoded', expansion]]);
  const download = (arriving: Uint8Array<ArrayBuffer>): ReturnType<typeof downloadFiles> =>
    downloadFiles(
      memorySource({ encoded: [arriving.slice(0, 3), arriving.slice(3)] }),
      [describe('encoded', encoded)],
      expansions,
      never,
      () => undefined,
    );
  const { files, expandMs } = await download(encoded);
  expect([...files.keys()]).toEqual(['expanded']);
  expect([...new Float32Array(files.get('expanded')?.buffer ?? new ArrayBuffer())]).toEqual([
    1, -2,
  ]);
  expect(expandMs).toBeGreaterThanOrEqual(0);
  const flipped = encoded.map((byte, index) => (index === 2 ? byte ^ 1 : byte));
  expect(await failure(download(flipped))).toMatchObject({ kind: 'integrity', path: 'encoded' });
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

test('a published file is joined from its chunks, whatever pieces they come in', async () => {
  const parts = fc.array(
    fc.array(fc.uint8Array({ maxLength: 20 }), { minLength: 1, maxLength: 4 }),
    {
      minLength: 1,
      maxLength: 6,
    },
  );
  await fc.assert(
    fc.asyncProperty(parts, async (parts) => {
      const pieces = parts.map((part) => part.map((bytes) => new Uint8Array(bytes)));
      const whole = new Uint8Array(Buffer.concat(pieces.flat()));
      const chunks = pieces.map((part, index) => {
        const { path, bytes, digest } = describe(`chunks/${index}`, Buffer.concat(part));
        return { path, bytes, digest };
      });
      const descriptor = { ...describe('model.onnx.data', whole), chunks };
      const stored = memorySource(
        Object.fromEntries(pieces.map((part, index) => [`chunks/${index}`, part])),
      );
      const source = new ChunkedByteSource(stored, [descriptor]);
      expect(await readFile(source, descriptor, never, () => undefined)).toEqual(whole);
    }),
    { numRuns: 50 },
  );
});

test('chunks in another order are not the file', async () => {
  const [a, b] = [Uint8Array.of(1, 2), Uint8Array.of(3, 4)];
  const whole = describe('w', Uint8Array.of(1, 2, 3, 4));
  const descriptor = { ...whole, chunks: [describe('b', b), describe('a', a)] };
  const source = new ChunkedByteSource(memorySource({ a: [a], b: [b] }), [descriptor]);
  expect(await failure(readFile(source, descriptor, never, () => undefined))).toMatchObject({
    kind: 'integrity',
    path: 'w',
  });
});

test('a chunk that comes as a page is named', async () => {
  const [a, b] = [Uint8Array.of(1, 2), Uint8Array.of(3, 4)];
  const stored = memorySource({ a: [a], b: [b] });
  const descriptor = {
    ...describe('w', Uint8Array.of(1, 2, 3, 4)),
    chunks: [describe('a', a), describe('b', b)],
  };
  const source = new ChunkedByteSource(
    {
      locate: (path) => stored.locate(path),
      open: async (path, signal) => ({
        ...(await stored.open(path, signal)),
        isHtml: path === 'b',
      }),
    },
    [descriptor],
  );
  expect(await failure(readFile(source, descriptor, never, () => undefined))).toEqual({
    kind: 'not-found',
    url: 'memory:b',
    status: 200,
  });
});
