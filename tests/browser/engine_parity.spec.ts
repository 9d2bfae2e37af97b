// What the page computes is what PyTorch computes, with and without cache, on WebAssembly and on WebGPU. That it does so
// on each kind of host: engine_hosts.spec.ts.
import { modelActivationNames } from '../../apps/web/src/contract/activation_table';
import { closingTable } from '../../apps/web/src/contract/closing_table';
import {
  noInterventions,
  switchingOff,
  type Intervention,
  type Interventions,
} from '../../apps/web/src/inference/interventions';
import { expect, opened, test, type Answer, type Engine } from './engine';
import { expectEdited, expectUnedited } from './engine_edits';
import { expectParity } from './expect_parity';
import { largestError, positions, readFixtures, reference, type Prompt } from './fixtures';

/** Of what is decided before a device computes. On WebGPU in software these run in the thorough tests alone. */
const anyDevice = '@any-device';

async function runPrefix(engine: Engine, prompt: Prompt, end: number): Promise<Answer> {
  return engine.run({ ids: prompt.ids.slice(0, end), reuseCache: true });
}

test('every activation of the contract opens through its tap, in every layer', async ({
  engine,
  provider,
  tolerance,
}) => {
  const prompt = readFixtures('demo').prompt('sentence');
  const { manifest } = opened(await engine.open({ url: 'models/demo/manifest.json', provider }));
  const all = modelActivationNames(manifest.model.shape);
  const model = opened(await engine.setActivations(all));
  expect(new Set(model.activations)).toEqual(new Set(all));
  const answer = await engine.run({ ids: prompt.ids, reuseCache: true });
  expectParity(answer, prompt, prompt.ids.length, tolerance);
  // All were compared: what PyTorch's numbers lacked would have been an error.
  expect(new Set(['logits', ...answer.tensors.keys()])).toEqual(new Set(all));
});

test('a sequence fed token by token through the cache equals the whole sequence', async ({
  engine,
  provider,
  tolerance,
}) => {
  const prompt = readFixtures('demo').prompt('sentence');
  opened(await engine.open({ url: 'models/demo/manifest.json', provider }));
  for (let end = 1; end <= prompt.ids.length; end++) {
    const answer = await runPrefix(engine, prompt, end);
    expect(answer.start).toBe(end - 1);
    expectParity(answer, prompt, end, tolerance);
  }
});

test(
  'a cache is cut back to the tokens that two sequences share',
  { tag: anyDevice },
  async ({ engine, provider, tolerance }) => {
    const prompt = readFixtures('demo').prompt('long');
    opened(await engine.open({ url: 'models/demo/manifest.json', provider }));
    // Another ending after 50 shared tokens, then back: the first cache must leave no trace.
    const other = [...prompt.ids.slice(0, 50), ...prompt.ids.slice(0, 40)];
    expect(other[50]).not.toBe(prompt.ids[50]);
    await engine.run({ ids: other, reuseCache: true });
    const back = await runPrefix(engine, prompt, 70);
    expect(back.start).toBe(50);
    expectParity(back, prompt, 70, tolerance);
    // Shorter than the cache: only its last token is fed.
    const shorter = await runPrefix(engine, prompt, 33);
    expect(shorter.start).toBe(32);
    expectParity(shorter, prompt, 33, tolerance);
    const whole = await runPrefix(engine, prompt, 128);
    expect(whole.start).toBe(33);
    expectParity(whole, prompt, 128, tolerance);
  },
);

test(
  'heads are switched off as in PyTorch, and leave the untouched cache alone',
  { tag: anyDevice },
  async ({ engine, provider, tolerance }) => {
    const { headsOff, ...fixtures } = readFixtures('demo');
    const prompt = fixtures.prompt('sentence');
    opened(await engine.open({ url: 'models/demo/manifest.json', provider }));
    await engine.run({ ids: prompt.ids.slice(0, 8), reuseCache: true });
    const off = await engine.run({
      ids: prompt.ids,
      reuseCache: true,
      interventions: switchingOff(headsOff),
    });
    const expected = reference(prompt, 'logits_heads_off').data;
    expect(off.start, 'keys made with all heads on must not be used').toBe(0);
    expect(largestError(off.lastLogits, expected)).toBeLessThanOrEqual(tolerance);
    const untouched = reference(prompt, 'logits').data.slice(-expected.length);
    expect(largestError(off.lastLogits, untouched), 'the heads must matter').toBeGreaterThan(0.01);
    const on = await engine.run({ ids: prompt.ids, reuseCache: true });
    expect(on.start).toBe(8);
    expectParity(on, prompt, prompt.ids.length, tolerance);
  },
);

test(
  'deltas are added at every token or at one, scales multiply, and a cached text keeps both',
  { tag: anyDevice },
  async ({ engine, provider, tolerance }) => {
    const prompt = readFixtures('demo').prompt('sentence');
    const { ids } = prompt;
    opened(await engine.open({ url: 'models/demo/manifest.json', provider }));
    const delta = (name: string): Float32Array => Float32Array.from(reference(prompt, name).data);
    const everywhere: Intervention = {
      edit: 'add',
      joint: 'resid_post',
      layer: 0,
      vector: delta('delta_every_token'),
    };
    const atOne: Intervention = {
      edit: 'add',
      joint: 'resid_post',
      layer: 1,
      position: Math.floor(ids.length / 2),
      vector: delta('delta_one_token'),
    };
    const half: Intervention = { edit: 'scale', joint: 'attn_z', layer: 1, head: 1, factor: 0.5 };
    const interventions = [everywhere, atOne, half];
    const expected = reference(prompt, 'logits_changed').data;
    const whole = await engine.run({ ids, reuseCache: true, interventions });
    expect(largestError(whole.lastLogits, expected)).toBeLessThanOrEqual(tolerance);
    const untouched = reference(prompt, 'logits').data.slice(-expected.length);
    expect(largestError(whole.lastLogits, untouched), 'they must matter').toBeGreaterThan(0.01);
    // Token by token, in another order: each step finds the cache of the step before.
    for (let end = 1; end <= ids.length; end++) {
      const step = await engine.run({
        ids: [...ids.slice(0, end)],
        reuseCache: end > 1,
        interventions: end % 2 === 0 ? interventions : [half, atOne, everywhere],
      });
      expect(step.start).toBe(end - 1);
      if (end === ids.length)
        expect(largestError(step.lastLogits, expected)).toBeLessThanOrEqual(tolerance);
    }
  },
);

test(
  'texts of many interventions stay cached side by side, with the numbers of whole runs',
  { tag: anyDevice },
  async ({ engine, provider, tolerance }) => {
    const { ids } = readFixtures('demo').prompt('sentence');
    opened(await engine.open({ url: 'models/demo/manifest.json', provider }));
    const some = [
      noInterventions,
      ...[0, 1, 2, 3].map((head) => switchingOff([[1, head]])),
      [{ edit: 'scale', joint: 'attn_z', layer: 0, head: 0, factor: 2 }],
    ] satisfies Interventions[];
    const whole = new Map<Interventions, Float32Array>();
    for (const interventions of some) {
      const run = await engine.run({
        ids,
        reuseCache: false,
        keepCache: false,
        interventions,
      });
      whole.set(interventions, run.lastLogits);
      // Nothing of it is there for the next run.
      const half = ids.slice(0, 8);
      expect((await engine.run({ ids: half, reuseCache: true, interventions })).start).toBe(0);
    }
    for (const interventions of some) {
      // Kept through all the others; a run that keeps nothing leaves it as it was.
      for (const keepCache of [false, true]) {
        const run = await engine.run({ ids, reuseCache: true, keepCache, interventions });
        expect(run.start).toBe(8);
        const expected = whole.get(interventions) ?? [];
        expect(largestError(run.lastLogits, expected)).toBeLessThanOrEqual(tolerance);
      }
    }
    const [first, ...others] = [...whole.values()];
    for (const other of others) expect(largestError(other, first ?? [])).toBeGreaterThan(tolerance);
  },
);

test('neutral interventions give the numbers of none, bit for bit', async ({
  engine,
  provider,
}) => {
  const prompt = readFixtures('demo').prompt('sentence');
  const model = opened(await engine.open({ url: 'models/demo/manifest.json', provider }));
  const { hidden } = model.manifest.model.shape;
  const neutral: Interventions = [
    { edit: 'scale', joint: 'attn_z', layer: 0, head: 1, factor: 1 },
    { edit: 'add', joint: 'resid_post', layer: 1, vector: new Float32Array(hidden) },
    { edit: 'add', joint: 'resid_post', layer: 1, position: 3, vector: new Float32Array(hidden) },
  ];
  const run = async (interventions: Interventions) =>
    engine.run({ ids: prompt.ids, reuseCache: false, interventions });
  const [none, same] = [await run(noInterventions), await run(neutral)];
  expect(same.lastLogits).toEqual(none.lastLogits);
  expect([...same.tensors]).toEqual([...none.tensors]);
});

for (const model of ['tiny-gpt2', 'tiny-llama']) {
  test(`${model}: every closing at every joint, of all tokens and of some, whole and from the cache`, async ({
    engine,
    bundles,
    provider,
    tolerance,
  }) => {
    const prompt = readFixtures(model).prompt('sentence');
    const { manifest } = opened(await engine.open({ url: bundles.url(model), provider }));
    const last = `layer_${manifest.model.shape.layers - 1}_resid_post`;
    opened(await engine.setActivations([last]));
    const edited = { engine, prompt, last, tolerance };
    const closings = new Set<string>();
    for (const { interventions, ...set } of prompt.edits) {
      for (const each of interventions) if ('closing' in each) closings.add(each.closing);
      await expectEdited(edited, interventions, set);
    }
    const all = closingTable.map(({ closing }) => closing).filter((name) => name !== 'identity');
    expect(closings).toEqual(new Set(all));
    await expectUnedited(edited);
  });
}

test(
  'an edit that a session lacks leaves the caches of other texts in place',
  { tag: anyDevice },
  async ({ engine, bundles, provider, tolerance }) => {
    const prompt = readFixtures('tiny-llama').prompt('sentence');
    const { ids } = prompt;
    opened(await engine.open({ url: bundles.url('tiny-llama'), provider }));
    await engine.run({ ids: ids.slice(0, 8), reuseCache: true });
    await engine.run({ ids, reuseCache: true, interventions: switchingOff([[0, 1]]) });
    const { start, lastLogits } = await engine.run({ ids, reuseCache: true });
    expect(start).toBe(8);
    const expected = positions('logits', reference(prompt, 'logits'), ids.length - 1, ids.length);
    expect(largestError(lastLogits, expected.data)).toBeLessThanOrEqual(tolerance);
  },
);

test('rotary positions and grouped keys: a Llama opens the same way', async ({
  engine,
  bundles,
  provider,
  tolerance,
}) => {
  const prompt = readFixtures('tiny-llama').prompt('long');
  const model = opened(await engine.open({ url: bundles.url('tiny-llama'), provider }));
  expect(model.hasTokenizer).toBe(false);
  const all = modelActivationNames(model.manifest.model.shape);
  opened(await engine.setActivations(all));
  expectParity(await runPrefix(engine, prompt, 30), prompt, 30, tolerance);
  const rest = await runPrefix(engine, prompt, prompt.ids.length);
  expect(rest.start).toBe(30);
  expectParity(rest, prompt, prompt.ids.length, tolerance);
});

test(
  'generation through the cache stays right past 200 tokens',
  { tag: anyDevice },
  async ({ engine, bundles, provider, tolerance }) => {
    const prompt = readFixtures('tiny-gpt2').prompt('long');
    opened(await engine.open({ url: bundles.url('tiny-gpt2'), provider, activations: [] }));
    // A software GPU takes its time.
    test.slow();
    const ids = [...prompt.ids, ...prompt.ids].slice(0, 215);
    for (let end = 160; end <= ids.length; end++) {
      await engine.run({ ids: ids.slice(0, end), reuseCache: true });
    }
    const cached = await engine.run({ ids, reuseCache: true });
    expect(cached.start).toBe(ids.length - 1);
    const uncached = await engine.run({ ids, reuseCache: false });
    expect(uncached.start).toBe(0);
    expect(largestError(cached.lastLogits, uncached.lastLogits)).toBeLessThanOrEqual(tolerance);
  },
);

test(
  'the tokenizer cuts text as the checkpoint does, and keeps its bytes',
  { tag: anyDevice },
  async ({ engine, provider }) => {
    const fixtures = readFixtures('demo');
    opened(await engine.open({ url: 'models/demo/manifest.json', provider }));
    for (const name of ['single', 'sentence', 'unicode', 'long']) {
      const { text, ids } = fixtures.prompt(name);
      const pieces = await engine.encode(text ?? '');
      expect(pieces.map(({ id }) => id)).toEqual(ids);
      expect(Buffer.concat(pieces.map(({ bytes }) => bytes)).toString('utf8')).toBe(text);
    }
  },
);
