// Sessions of a model whose runtime the test stands in for: which one is open after something failed, and what is freed.
import { beforeEach, expect, test, vi } from 'vitest';
import { ModelRunner } from '../../apps/web/src/inference/model_runner';

/** What the stood-in runtime does, and what it was asked for. */
const world = vi.hoisted(() => ({
  /** Errors of the next openings of the weights, in turn; null for none. */
  openings: [] as (Error | null)[],
  weightsOpen: 0,
  made: 0,
  releasing: null as Error | null,
  /** Errors of the next sessions to make, in turn. */
  makings: [] as Error[],
  /** The number of the session of each run, from 1, in the order in which they were made. */
  runs: [] as number[],
  released: [] as number[],
  memoryGiB: 8,
}));

vi.mock('../../apps/web/src/inference/load_reference_pass', () => ({
  loadReferencePass: () =>
    Promise.resolve({
      ids: [1, 2],
      values: [
        { name: 'final_norm', dims: [1, 2, 1], data: Float32Array.of(1, 2) },
        { name: 'logits', dims: [1, 1, 4], data: new Float32Array(4) },
      ],
    }),
}));

vi.mock('../../apps/web/src/inference/load_model', () => {
  const shape = { layers: 1, heads: 1, vocab: 4, hidden: 1, context_length: 8 };
  const logits = { name: 'logits', shape: [4] };
  const document = { graph: 'plain', model: shape, inputs: [], outputs: [logits] };
  const joints = [{ name: 'layer_0_attn_z', dtype: 'float32', shape: [1] }];
  const variant = {
    name: 'fp32',
    plain: { path: 'g.onnx', activations: document },
    open: { path: 'g.onnx', activations: { ...document, graph: 'open', joints } },
    attribution: { model: '', layers: [''], neurons: [''] },
    taps: [{ outputs: [{ name: 'final_norm', shape: [1] }], bytes: '' }],
    weights: [],
    reference_pass: { reference: 'pytorch', runtime: 'x', measure: 'max', bounds: {} },
  };
  class Tensor {
    readonly data: unknown;
    readonly dims: unknown;
    constructor(_: string, data: unknown, dims: unknown) {
      [this.data, this.dims] = [data, dims];
    }
  }
  const outputs = (wanted: readonly string[]): object =>
    Object.fromEntries(
      wanted.map((name) => [
        name,
        {
          dims: [1, 2, name === 'logits' ? 4 : 1],
          data: new Float32Array(name === 'logits' ? 8 : 2),
        },
      ]),
    );
  const create = (): Promise<object> => {
    const error = world.makings.shift();
    if (error !== undefined) return Promise.reject(error);
    const made = ++world.made;
    const run = (_: unknown, wanted: readonly string[]): Promise<object> => {
      world.runs.push(made);
      return Promise.resolve(outputs(wanted));
    };
    const release = (): Promise<void> => {
      world.released.push(made);
      return world.releasing === null ? Promise.resolve() : Promise.reject(world.releasing);
    };
    return Promise.resolve({ inputNames: [], run, release });
  };
  const open = (): Promise<object[]> => {
    const error = world.openings.shift() ?? null;
    if (error !== null) return Promise.reject(error);
    world.weightsOpen++;
    const close = (): void => {
      world.weightsOpen--;
    };
    return Promise.resolve([
      { path: 'w', data: new Uint8Array(), error: () => null, expandMs: () => 0, close },
    ]);
  };
  const fitness = { memory: 2 ** 30, refusal: null };
  const model = {
    manifest: { model: { shape }, files: [], variants: [variant] },
    variant,
    files: new Map([['g.onnx', new Uint8Array()]]),
    weights: { open },
    runtime: { provider: 'wasm', ort: { Tensor, InferenceSession: { create } } },
    opening: {
      ...{ variant: 'fp32', provider: 'wasm', tried: [] },
      offer: {
        variants: [{ name: 'fp32', on: { wasm: fitness, webgpu: fitness } }],
        ...{ choice: null, refused: null },
      },
    },
    ...{ facts: { provider: 'wasm' }, isBare: false, tokenizer: null, arrival: { isKept: true } },
    timings: {},
  };
  return {
    loadModel: () => {
      const { memoryGiB } = world;
      return Promise.resolve({ ...model, opening: { ...model.opening, device: { memoryGiB } } });
    },
    startEarly: () => ({ modelCache: Promise.resolve(null) }),
    phase: () => ({}),
    digestsOf: () => ({}),
    surveyModel: () => Promise.reject(new Error('not asked for')),
  };
});

beforeEach(() => {
  Object.assign(world, { openings: [], weightsOpen: 0, made: 0, releasing: null, makings: [] });
  Object.assign(world, { runs: [], released: [], memoryGiB: 8 });
});

async function opened(activations: readonly string[] = []): Promise<ModelRunner> {
  const runner = new ModelRunner('http://localhost/');
  await runner.open({ url: 'm', provider: 'wasm', activations }, () => undefined);
  return runner;
}

async function namesOfRun(runner: ModelRunner): Promise<string[]> {
  const { tensors } = await runner.run({ ids: [1, 2], reuseCache: false });
  return tensors.map(({ name }) => name);
}

test('after a proof the session from before is open again', async () => {
  const runner = await opened();
  expect(await runner.prove()).toMatchObject({ compared: 2 });
  expect(await namesOfRun(runner)).toEqual([]);
  expect(world).toMatchObject({ made: 3, weightsOpen: 0 });
});

test('a proof in a session that gives every activation needs no other', async () => {
  const runner = await opened(['final_norm']);
  expect(await runner.prove()).toMatchObject({ compared: 2 });
  expect(world).toMatchObject({ made: 1, weightsOpen: 0 });
});

test("no run is answered by a proof's session, where the one from before could not be made", async () => {
  const runner = await opened();
  const gone = new Error('the weights are gone');
  world.openings = [null, gone, gone];
  await expect(runner.prove()).rejects.toBe(gone);
  await expect(namesOfRun(runner)).rejects.toBe(gone);
  // They are back.
  expect(await namesOfRun(runner)).toEqual([]);
});

test('a proof for which there are no weights leaves the open session', async () => {
  const runner = await opened();
  const gone = new Error('the weights are gone');
  world.openings = [gone];
  await expect(runner.prove()).rejects.toBe(gone);
  expect(await namesOfRun(runner)).toEqual([]);
  expect(world.made).toBe(1);
});

test('weights are closed where the session from before can not be released', async () => {
  const runner = await opened();
  world.releasing = new Error('the device was lost');
  await expect(runner.setActivations(['final_norm'])).rejects.toMatchObject({
    data: { kind: 'session' },
  });
  expect(world.weightsOpen).toBe(0);
});

test('a session that could not be made again is made by the next call', async () => {
  const runner = await opened();
  const broken = new Error('the disk is gone');
  world.makings = [broken, broken];
  await expect(runner.setActivations(['final_norm'])).rejects.toMatchObject({
    data: { kind: 'session' },
  });
  expect(await namesOfRun(runner)).toEqual([]);
});

const text = { ids: [1, 2], reuseCache: false, keepCache: false };
const attribution = { answer: 1 };

test("the reader's runs compute nothing of an attribution, which has a session beside", async () => {
  const runner = await opened();
  const first = await runner.run({ ...text, attribution });
  expect(first.timings.sessionMs).toBeGreaterThanOrEqual(0);
  await runner.run(text);
  expect((await runner.run({ ...text, attribution })).timings.sessionMs).toBeUndefined();
  await runner.run(text);
  expect(world).toMatchObject({ runs: [2, 1, 2, 1], released: [], weightsOpen: 0 });
  // Another session of the page leaves none of both.
  await runner.setActivations(['final_norm']);
  expect(world.released).toEqual([1, 2]);
  expect(await namesOfRun(runner)).toEqual(['final_norm']);
});

test('the session of an attribution replaces the open one where there is no memory for both', async () => {
  world.memoryGiB = 2;
  const runner = await opened();
  await runner.run({ ...text, attribution });
  await runner.run(text);
  expect(world).toMatchObject({ made: 2, runs: [2, 2], released: [1], weightsOpen: 0 });
});

test('one that can not be made beside after all is made in place', async () => {
  const runner = await opened();
  world.makings = [new Error('out of memory')];
  await runner.run({ ...text, attribution });
  expect(world).toMatchObject({ made: 2, runs: [2], released: [1], weightsOpen: 0 });
});
