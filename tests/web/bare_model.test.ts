// A model from a bare graph: what it tells, what is refused, and where a manifest is looked for first.
import { readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readBareFiles, readBareModel } from '../../apps/web/src/bundle/onnx/bare_model';
import { BundleError, type BundleErrorData } from '../../apps/web/src/bundle/bundle_error';
import { bundleAddress } from '../../apps/web/src/bundle/address/bundle_url';
import type { ByteSource } from '../../apps/web/src/bundle/sources/byte_source';
import { FileByteSource } from '../../apps/web/src/bundle/sources/file_source';
import { retryPolicy } from '../../apps/web/src/bundle/download/retry_policy';
import { findAmongFiles, findAtAddress } from '../../apps/web/src/bundle/open_bundle';
import { writeField, writeText } from '../../apps/web/src/contract/wire_format';
import { defaultActivationNames } from '../../apps/web/src/contract/activation_table';
import type { Manifest, ModelRecord, Tap } from '../../apps/web/src/contract/generated';
import { noSlots } from '../../apps/web/src/inference/closing_slots';
import { defaultActivations, openTaps } from '../../apps/web/src/inference/taps';
import { examples } from './thorough';

const fixtures = JSON.parse(
  readFileSync(new URL('../fixtures/bare_graphs.json', import.meta.url), 'utf8'),
) as {
  model: ModelRecord;
  graphs: Record<string, { gzip: string; metadata: Record<string, string> }>;
  taps: Tap[];
};
const plain = 'model.plain.onnx';
const decoder = 'model.onnx';
const open = 'model.open.onnx';
const fixed = 'model.static.onnx';
const interactive = 'model.interactive.onnx';
/** The parts of a bundle of contract 1.x. */
const earlier = new URL('../fixtures/bundles_1/tiny-gpt2/', import.meta.url);
const context = {
  retryPolicy: { ...retryPolicy, attempts: 1 },
  signal: new AbortController().signal,
  modelCache: Promise.resolve(null),
};

function graph(name: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(gunzipSync(Buffer.from(fixtures.graphs[name]?.gzip ?? '', 'base64')));
}

function file(name: string, bytes: BlobPart): File {
  return new File([bytes], name);
}

function source(files: Record<string, BlobPart>): FileByteSource {
  return new FileByteSource(
    new Map(Object.entries(files).map(([name, bytes]) => [name, file(name, bytes)])),
  );
}

function read(name: string, bytes = graph(name)): ReturnType<typeof readBareModel> {
  return readBareModel(source({ [name]: bytes }), name, context, () => undefined);
}

async function failure(promise: Promise<unknown>): Promise<BundleErrorData> {
  const error: unknown = await promise.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (error instanceof BundleError) return error.data;
  throw new Error(`no BundleError: ${String(error)}`);
}

const byName = (a: Tap, b: Tap): number =>
  (a.outputs[0]?.name ?? '') < (b.outputs[0]?.name ?? '') ? -1 : 1;

test('an open graph brings every tap that needs no nodes, as the exporter writes it', async () => {
  const { manifest } = await read(open);
  const [variant] = manifest.variants;
  expect(variant?.taps.toSorted(byName)).toEqual(fixtures.taps.toSorted(byName));
  expect(variant && defaultActivations(variant)).toEqual(
    defaultActivationNames(fixtures.model.shape),
  );
});

test('so does an interactive graph of contract 1.x', async () => {
  const bytes = new Uint8Array(readFileSync(new URL(interactive, earlier)));
  const [variant] = (await read(interactive, bytes)).manifest.variants;
  const { variants } = JSON.parse(
    readFileSync(new URL('manifest.json', earlier), 'utf8'),
  ) as Manifest;
  const taps = variants[0]?.taps.filter(
    ({ outputs }) => !(outputs[0]?.name ?? '').includes('lens'),
  );
  expect(variant?.taps.toSorted(byName)).toEqual(taps?.toSorted(byName));
});

test('a decoder gives what it was exported with, and opens the rest by taps', async () => {
  const [variant] = (await read(decoder)).manifest.variants;
  if (variant === undefined) throw new Error('no variant');
  const { activations, parts } = openTaps(variant, graph(decoder), ['layer_0_q'], noSlots);
  expect(activations).toContain('layer_0_attn_probs');
  expect(activations).toContain('layer_0_q');
  expect(activations).not.toContain('present.0.key');
  expect(parts.length).toBe(2);
  const given = new Set(variant.decoder?.activations.outputs.map(({ name }) => name));
  const taps = fixtures.taps.filter(({ outputs }) => !given.has(outputs[0]?.name ?? ''));
  expect(variant.taps.toSorted(byName)).toEqual(taps.toSorted(byName));
});

test('a plain graph gives what it was exported with, and takes no taps', async () => {
  const { manifest } = await read(plain);
  const [variant] = manifest.variants;
  if (variant === undefined) throw new Error('no variant');
  expect(variant.taps).toEqual([]);
  const names = defaultActivations(variant);
  const { activations, parts } = openTaps(variant, graph(plain), names, noSlots);
  expect(activations).toContain('layer_0_attn_probs');
  expect(activations).not.toContain('logits');
  expect(parts).toEqual([graph(plain)]);
});

test.each([
  [plain, 'fp32', 'f32'],
  [decoder, 'fp32', 'f32'],
  [open, 'fp32', 'f32'],
  ['model_fp16.open.onnx', 'fp16', 'f16'],
  ['model_int8.open.onnx', 'int8', 'q8'],
  ['model_int8_static.plain.onnx', 'int8_static', 'q8'],
  ['model_int4.open.onnx', 'int4', 'q4'],
])('%s computes with %s on %s', async (name, kernels, encoding) => {
  const { manifest, data } = await read(name);
  expect(manifest.variants[0]).toMatchObject({ kernels, encoding, opset: 20 });
  expect(manifest.variants[0]?.weights).toEqual(data.map(({ path }) => path));
});

test('the record of the model is taken as the file’s claim; without it the file’s name must do', async () => {
  expect((await read(plain)).manifest.model).toEqual(fixtures.model);
  const nameless = replaced(plain, 'oriel.model', 'oriel.mode_');
  const { model } = (await read('small model.onnx', nameless)).manifest;
  expect(model).toMatchObject({ name: 'small model', architecture: '', weights_digest: '' });
  // Constants are initializers as well.
  expect(Math.abs(model.parameters - fixtures.model.parameters)).toBeLessThan(5);
});

/** Puts one text of the same length in another's place. */
function replaced(name: string, text: string, by: string): Uint8Array<ArrayBuffer> {
  const whole = Buffer.from(graph(name));
  const at = whole.indexOf(text);
  expect(at).toBeGreaterThan(0);
  expect(by.length).toBe(text.length);
  whole.write(by, at);
  return new Uint8Array(whole);
}

test('a static graph alone is opened as the open graph, with the same taps', async () => {
  const [variant] = (await read(fixed)).manifest.variants;
  expect(variant?.open?.path).toBe(fixed);
  expect(variant?.open?.activations).toMatchObject({ graph: 'static', cache_length: 160 });
  const [ofOpen] = (await read(open)).manifest.variants;
  expect(variant?.taps).toEqual(ofOpen?.taps);
});

describe('graphs that are refused', () => {
  test.each([
    ['no-contract', 'oriel.activations', 'other.activations'],
    ['bad-contract', '"graph":"plain"', '"graph":"plaid"'],
    ['bad-contract', '"vocab":4096', '"vocab":409x'],
    // The graph's own inputs and outputs are those of before.
    ['bad-contract', '"name":"logits","dtype":"float32"', '"name":"logits","dtype":"int64"  '],
    ['mismatch', '"name":"embedding_sum"', '"name":"final_norm"   '],
  ] as const)('%s: %s', async (reason, text, by) => {
    const error = await failure(read(plain, replaced(plain, text, by)));
    expect(error).toMatchObject({ kind: 'not-a-model', path: plain, reason });
  });

  test('of another major version of the contract', async () => {
    const other = replaced(plain, '"contract_version":"2.0"', '"contract_version":"3.0"');
    expect(await failure(read(plain, other))).toEqual({
      kind: 'contract-version',
      got: '3.0',
      supported: '1.x, 2.x',
    });
  });

  test.each([
    '../odel.onnx.data',
    '/odel.onnx.data_',
    'c:odel.onnx.data',
    '.odel.onnx.data_',
    'con/el.onnx.data',
  ])('whose weights lie at %s', async (location) => {
    const whole = Buffer.from(graph(plain));
    for (let at = 0; (at = whole.indexOf('model.onnx.data', at)) >= 0; at++) {
      whole.write(location.slice(0, 15), at);
    }
    expect(await failure(read(plain, new Uint8Array(whole)))).toMatchObject({
      kind: 'not-a-model',
      reason: 'bad-location',
    });
  });

  test('whatever their document holds, there is one typed error', async () => {
    const document = JSON.parse(
      fixtures.graphs[plain]?.metadata['oriel.activations'] ?? '',
    ) as object;
    const keys = ['graph', 'model', 'inputs', 'outputs', 'contract_version'];
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...keys), fc.jsonValue(), async (key, value) => {
        const text = JSON.stringify({ ...document, [key]: value });
        const bytes = new Uint8Array([
          ...writeField(14, [...writeText(1, 'oriel.activations'), ...writeText(2, text)]),
          ...writeField(7, []),
        ]);
        const error = await failure(read(plain, bytes));
        expect(['not-a-model', 'contract-version']).toContain(error.kind);
      }),
      { numRuns: examples(150) },
    );
  });
});

test('as much of the weights is read as the graph asks for, and less is told', async () => {
  const bare = await read(plain);
  const [data] = bare.data;
  if (data === undefined) throw new Error('no data');
  const long = new Uint8Array(data.bytes + 10).fill(7);
  const progress: number[] = [];
  const { weights } = await readBareFiles(source({ [data.path]: long }), bare, context, (state) => {
    progress.push(state.receivedBytes, state.totalBytes);
  });
  const [piece] = weights.get(data.path) ?? [];
  expect(piece?.held?.every((byte) => byte === 7)).toBe(true);
  expect(piece?.held?.length).toBe(data.bytes);
  expect(progress.at(-1)).toBe(data.bytes + graph(plain).length);
  expect(progress.at(-2)).toBe(progress.at(-1));
  const short = long.subarray(0, data.bytes - 1);
  expect(
    await failure(readBareFiles(source({ [data.path]: short }), bare, context, () => undefined)),
  ).toMatchObject({ kind: 'integrity', path: data.path, got: `${data.bytes - 1} bytes` });
});

/** A host that answers as it is told to, and gives the graph for all else. */
class Host implements ByteSource {
  readonly #manifest: () => Promise<never>;
  readonly #graph: Uint8Array<ArrayBuffer> | null;

  constructor(
    manifest: BundleErrorData,
    graphBytes: Uint8Array<ArrayBuffer> | null = graph(plain),
  ) {
    this.#manifest = () => Promise.reject(new BundleError(manifest));
    this.#graph = graphBytes;
  }

  locate(path: string): string {
    return `https://host.example/m/${path}`;
  }

  open(path: string, signal: AbortSignal): ReturnType<ByteSource['open']> {
    if (path === 'manifest.json') return this.#manifest();
    if (path !== plain || this.#graph === null) {
      return Promise.reject(
        new BundleError({ kind: 'not-found', url: this.locate(path), status: 404 }),
      );
    }
    return source({ [plain]: this.#graph }).open(path, signal);
  }
}

describe('a graph is read by itself where no manifest is beside it, and only there', () => {
  const address = bundleAddress(
    'https://host.example/m/model.plain.onnx?v=3',
    'https://page.example/',
  );
  const find = (host: Host): ReturnType<typeof findAtAddress> =>
    findAtAddress(host, address, context, () => undefined);
  const url = 'https://host.example/m/manifest.json';

  test.each<BundleErrorData>([
    { kind: 'not-found', url, status: 404 },
    { kind: 'not-found', url, status: 403 },
    { kind: 'no-cors', url, origin: 'https://page.example' },
    { kind: 'not-a-manifest', url, detail: 'a page', isHtml: true },
  ])('%j', async (manifest) => {
    const { bare } = await find(new Host(manifest));
    expect(bare?.manifest.model.name).toBe(fixtures.model.name);
    // Where the graph is not there either, the manifest is what to ask for.
    expect(await failure(find(new Host(manifest, null)))).toEqual(manifest);
  });

  test.each<BundleErrorData>([
    { kind: 'not-a-manifest', url, detail: 'it is not JSON' },
    { kind: 'contract-version', got: '2.0', supported: '1.x' },
    { kind: 'network', url, offline: false },
    { kind: 'server', url, status: 500, retryAfterMs: null },
    { kind: 'aborted' },
  ])('not after %j', async (manifest) => {
    expect(await failure(find(new Host(manifest)))).toEqual(manifest);
  });

  test('not where a manifest was asked for', async () => {
    const manifest: BundleErrorData = { kind: 'not-found', url, status: 404 };
    const asked = bundleAddress(url, url);
    expect(
      await failure(findAtAddress(new Host(manifest), asked, context, () => undefined)),
    ).toEqual(manifest);
  });
});

test('among the visitor’s files, missing weights are named before anything is opened', async () => {
  const files = new Map([[plain, file(plain, graph(plain))]]);
  const local = { entry: plain, files };
  expect(await failure(findAmongFiles(new FileByteSource(files), local, context))).toEqual({
    kind: 'files-missing',
    names: ['model.onnx.data'],
    count: 1,
  });
});
