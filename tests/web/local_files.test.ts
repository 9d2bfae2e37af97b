// Which of many files are the model, and which of a bundle's variants are whole.
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BundleError } from '../../apps/web/src/bundle/bundle_error';
import { FileByteSource } from '../../apps/web/src/bundle/sources/file_source';
import { findLocalModel, maxFiles } from '../../apps/web/src/bundle/sources/local_files';
import { findAmongFiles } from '../../apps/web/src/bundle/open_bundle';
import { retryPolicy } from '../../apps/web/src/bundle/download/retry_policy';
import { transfer } from '../../apps/web/src/bundle/download/transfer';
import { examples } from './thorough';

const context = { retryPolicy, signal: new AbortController().signal };

function find(...paths: string[]): { name: string; entry: string; files: string[] } {
  const placed = paths.map((path) => ({ path, file: new File([], path) }));
  const { name, entry, files } = findLocalModel(placed);
  return { name, entry, files: [...files.keys()] };
}

test.each([
  [
    ['m/manifest.json', 'm/model.onnx', 'x.txt'],
    'm',
    'manifest.json',
    ['manifest.json', 'model.onnx'],
  ],
  // The nearest to the top.
  [
    ['a/b/manifest.json', 'a/manifest.json'],
    'a',
    'manifest.json',
    ['b/manifest.json', 'manifest.json'],
  ],
  [['models/b/manifest.json', 'models/a/manifest.json'], 'a', 'manifest.json', ['manifest.json']],
  // Files by themselves have no folder to be called after.
  [
    ['manifest.json', 'model.onnx'],
    'manifest.json',
    'manifest.json',
    ['manifest.json', 'model.onnx'],
  ],
  [
    ['m/manifest-1.0.0.json', 'm/chunks/a.bin'],
    'm',
    'manifest-1.0.0.json',
    ['manifest-1.0.0.json', 'chunks/a.bin'],
  ],
  [
    ['m/manifest-1.0.0.json', 'm/manifest.json'],
    'm',
    'manifest.json',
    ['manifest-1.0.0.json', 'manifest.json'],
  ],
  [
    ['model.onnx', 'model.interactive.onnx'],
    'model.interactive.onnx',
    'model.interactive.onnx',
    ['model.onnx', 'model.interactive.onnx'],
  ],
  [
    ['model.onnx', 'model.open.onnx', 'model.plain.onnx'],
    'model.open.onnx',
    'model.open.onnx',
    ['model.onnx', 'model.open.onnx', 'model.plain.onnx'],
  ],
  [
    ['a.plain.onnx', 'model_int8_static.onnx'],
    'model_int8_static.onnx',
    'model_int8_static.onnx',
    ['a.plain.onnx', 'model_int8_static.onnx'],
  ],
  [['GPT.ONNX', 'GPT.ONNX.data'], 'GPT.ONNX', 'GPT.ONNX', ['GPT.ONNX', 'GPT.ONNX.data']],
  [
    ['m/.git/manifest.json', 'm/__MACOSX/manifest.json', 'm/model.onnx', 'm/.DS_Store'],
    'm',
    'model.onnx',
    ['model.onnx'],
  ],
])('%j', (paths, name, entry, files) => {
  expect(find(...paths)).toEqual({ name, entry, files });
});

function refusal(paths: string[]): unknown {
  try {
    return find(...paths);
  } catch (error) {
    if (error instanceof BundleError) return error.data;
    throw error;
  }
}

test('no model, and too much of anything, are told in numbers', () => {
  expect(refusal([])).toEqual({ kind: 'no-model-in-files', names: [], count: 0 });
  expect(refusal(['a/photo.jpg', 'b.txt', '.DS_Store'])).toEqual({
    kind: 'no-model-in-files',
    names: ['photo.jpg', 'b.txt'],
    count: 2,
  });
  const many = Array.from({ length: maxFiles + 1 }, (_, at) => `m/${at}.bin`);
  expect(refusal(['m/manifest.json', ...many])).toEqual({
    kind: 'too-many-files',
    limit: maxFiles,
  });
});

test('whatever the files are called, one is chosen or one error told', () => {
  const name = fc.oneof(
    fc.constantFrom('manifest.json', 'model.onnx', '..', '.', '', '__proto__', 'manifest-.json'),
    fc.string(),
  );
  const path = fc.array(name, { maxLength: 5 }).map((parts) => parts.join('/'));
  fc.assert(
    fc.property(fc.array(path, { maxLength: 12 }), (paths) => {
      const found = refusal(paths);
      if (typeof found === 'object' && found !== null && 'files' in found) {
        expect((found as ReturnType<typeof find>).files).toContain(
          (found as ReturnType<typeof find>).entry,
        );
      }
    }),
    { numRuns: examples(1000) },
  );
});

interface Files {
  manifest: {
    variants: { name: string }[];
    files: { path: string; chunks?: { path: string }[] }[];
  };
  paths: string[];
}

function example(name: string): Files {
  const url = new URL(`../../contracts/examples/valid/${name}`, import.meta.url);
  const manifest = JSON.parse(readFileSync(url, 'utf8')) as Files['manifest'];
  const paths = manifest.files.flatMap(
    ({ path, chunks }) => chunks?.map((chunk) => chunk.path) ?? [path],
  );
  return { manifest, paths };
}

async function open({ manifest, paths }: Files): Promise<string[]> {
  const files = new Map([
    ['manifest.json', new File([JSON.stringify(manifest)], 'manifest.json')],
    ...paths.map((path) => [path, new File([], path)] as const),
  ]);
  const local = { entry: 'manifest.json', files };
  const found = await findAmongFiles(new FileByteSource(files), local, context);
  return found.manifest.variants.map(({ name }) => name);
}

test('variants that lack a file are left out; where all do, the fewest that are missing are named', async () => {
  const whole = example('manifest__encoded.json');
  const names = whole.manifest.variants.map(({ name }) => name);
  expect(names.length).toBeGreaterThan(1);
  expect(await open(whole)).toEqual(names);
  const without = (path: string): Files => ({
    ...whole,
    paths: whole.paths.filter((other) => other !== path),
  });
  const weights = whole.paths.filter((path) => path.endsWith('.data'));
  const [first = ''] = weights;
  expect((await open(without(first))).length).toBeLessThan(names.length);
  await expect(open({ ...whole, paths: [] })).rejects.toMatchObject({
    data: { kind: 'files-missing' },
  });
});

test('of a published model the chunks are asked for, not the files that they make', async () => {
  const published = example('manifest__chunked.json');
  expect(published.paths.some((path) => path.startsWith('chunks/'))).toBe(true);
  expect(await open(published)).toEqual(published.manifest.variants.map(({ name }) => name));
  const weights = published.manifest.files.find(({ path }) => path.endsWith('.data'));
  const [chunk = ''] = weights?.chunks?.map(({ path }) => path) ?? [];
  const paths = published.paths.filter((path) => path !== chunk);
  await expect(open({ ...published, paths })).rejects.toMatchObject({
    data: { kind: 'files-missing', names: [chunk], count: 1 },
  });
});

test('a file that went away while it was read is named, and not asked for again', async () => {
  let reads = 0;
  const gone = {
    slice: () => ({
      stream: () =>
        new ReadableStream({
          pull(controller) {
            reads++;
            controller.error(new DOMException('', 'NotReadableError'));
          },
        }),
    }),
  } as unknown as File;
  const source = new FileByteSource(new Map([['model.onnx.data', gone]]));
  const piece = { path: 'model.onnx.data', bytes: 4, digest: 'sha256:' };
  const options = { ...context, cache: 'default' as const };
  const events = { onReceived: () => undefined, onWaiting: () => undefined };
  await expect(transfer(source, piece, new Uint8Array(4), options, events)).rejects.toThrow(
    new BundleError({ kind: 'files-missing', names: ['model.onnx.data'], count: 1 }),
  );
  expect(reads).toBe(1);
});
