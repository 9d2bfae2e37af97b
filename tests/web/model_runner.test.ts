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
  const document = { graph: 'plain', model: shape, inputs: [], outputs: [{ name: 'logits' }] };
  const variant = {
    name: 'fp32',
    plain: { path: 'g.onnx', activations: document },
    taps: [{ outputs: [{ name: 'final_norm' }], bytes: '' }],
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
  const run = (_: unknown, wanted: readonly string[]): Promise<object> =>
    Promise.resolve(
      Object.fromEntries(
        wanted.map((name) => [
          name,
          {
            dims: [1, 2, name === 'logits' ? 4 : 1],
            data: new Float32Array(name === 'logits' ? 8 : 2),
          },
        ]),
      ),
    );
  const create = (): Promise<object> => {
    const error = world.makings.shift();
    if (error !== undefined) return Promise.reject(error);
    world.made++;
    const release = (): Promise<void> =>
      world.releasing === null ? Promise.resolve() : Promise.reject(world.releasing);
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
  const model = {
    manifest: { model: { shape }, files: [], variants: [variant] },
    variant,
    files: new Map([['g.onnx', new Uint8Array()]]),
    weights: { open },
    runtime: { provider: 'wasm', ort: { Tensor, InferenceSession: { create } } },
    opening: {
      ...{ variant: 'fp32', provider: 'wasm', tried: [], device: {} },
      offer: { variants: [], choice: null, refused: null },
    },
    tokenizer: null,
    arrival: {},
    timings: {},
  };
  return {
    loadModel: () => Promise.resolve(model),
    startEarly: () => ({ modelCache: Promise.resolve(null) }),
    phase: () => ({}),
    digestsOf: () => ({}),
    surveyModel: () => Promise.reject(new Error('not asked for')),
  };
});

beforeEach(() => {
  Object.assign(world, { openings: [], weightsOpen: 0, made: 0, releasing: null, makings: [] });
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
