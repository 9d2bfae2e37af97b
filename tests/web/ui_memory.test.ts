// Activations and memory: what fits is known before anything is computed, and what failed once is not asked for again.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { planActivations, type Plan } from '../../apps/web/src/activations/activation_plan';
import {
  storedMemoryRecords,
  type MemoryRecords,
} from '../../apps/web/src/activations/memory_records';
import { ModelSession } from '../../apps/web/src/session/model_session.svelte';
import type { Variant } from '../../apps/web/src/contract/generated';
import {
  activationBytes,
  roomForActivations,
} from '../../apps/web/src/inference/activation_memory';
import { ModelError } from '../../apps/web/src/inference/model_error';
import type { ModelClient, PreparedSession } from '../../apps/web/src/inference/client_interface';
import type {
  OpenedModel,
  OpenRequest,
  RunRequest,
  RunResult,
} from '../../apps/web/src/inference/model_types';

const GiB = 2 ** 30;
const LAYERS = 48;
const HEADS = 25;
const HIDDEN = 50;
const CONTEXT = 1024;

const mapOf = (layer: number): string => `layer_${layer}_attn_probs`;
const allMaps = Array.from({ length: LAYERS }, (_, layer) => mapOf(layer));

const map = (layer: number) =>
  ({ name: mapOf(layer), dtype: 'float32', shape: ['batch', HEADS, 'seq', 'total'] }) as const;

const variant = {
  name: 'fp32',
  weights: ['w'],
  plain: { activations: { outputs: [map(LAYERS - 1)] } },
  interactive: {
    activations: {
      graph: 'interactive',
      outputs: [],
      model: { layers: LAYERS, heads: HEADS, context_length: CONTEXT },
    },
  },
  taps: [
    ...Array.from({ length: LAYERS }, (_, layer) => ({ outputs: [map(layer)] })),
    {
      outputs: [
        { name: 'layer_0_lens_ids', dtype: 'int64', shape: ['batch', 'seq', 5] },
        { name: 'layer_0_lens_probs', dtype: 'float32', shape: ['batch', 'seq', 5] },
      ],
    },
    { outputs: [{ name: 'final_norm', dtype: 'float32', shape: ['batch', 'seq', HIDDEN] }] },
  ],
  // Only what is read here.
} as unknown as Variant;

/** Weights of 1 GiB, and as much again in the runtime. */
function opened(provider: 'wasm' | 'webgpu', memoryGiB: number | null): OpenedModel {
  const fitness = { memory: 2 * GiB, refusal: null };
  return {
    manifest: {
      model: { shape: { layers: LAYERS, heads: HEADS, vocab: 64, context_length: CONTEXT } },
      files: [{ path: 'w', bytes: GiB }],
    },
    variant,
    facts: { provider },
    offer: { variants: [{ name: 'fp32', on: { wasm: fitness, webgpu: fitness } }] },
    device: { memoryGiB },
    activations: ['logits', mapOf(LAYERS - 1)],
    lens: 'logit',
    hasTokenizer: false,
    timings: { sessionMs: 0 },
    tokenizerTrouble: null,
    // Only what is read here.
  } as unknown as OpenedModel;
}

describe('the size of activations', () => {
  test('is that of their float32 numbers, by hand', () => {
    const sizes = activationBytes(variant, 1024);
    expect(sizes.get('layer_3_attn_probs')).toBe(4 * 25 * 1024 * 1024);
    expect(sizes.get('final_norm')).toBe(4 * 1024 * 50);
    expect(sizes.get('layer_0_lens_ids')).toBe(4 * 1024 * 5);
  });
});

describe('the room for activations', () => {
  const once = { texts: 1, tooMuch: null, isForced: false };

  test('is what WebAssembly can address beside the weights where the device has plenty', () => {
    expect(roomForActivations(opened('wasm', 64), once)).toEqual({
      bytes: 2.5 * GiB,
      limit: 'heap',
    });
    expect(roomForActivations(opened('webgpu', 64), once)).toEqual({
      bytes: 15 * GiB,
      limit: 'memory',
    });
  });

  test('is shared by the runtime’s copy and each that the page holds', () => {
    expect(roomForActivations(opened('wasm', 8), once).bytes).toBe(1 * GiB);
    expect(roomForActivations(opened('wasm', 10), { ...once, texts: 2 }).bytes).toBe(1 * GiB);
  });

  test('is never less than a small text needs, unless that failed', () => {
    expect(roomForActivations(opened('wasm', null), once).bytes).toBe(GiB / 2);
    const tooMuch = 2.25 * GiB;
    expect(roomForActivations(opened('wasm', null), { ...once, tooMuch })).toEqual({
      bytes: GiB / 16,
      limit: 'failed',
    });
  });

  test('counts no guess where the reader asked for everything all the same', () => {
    const forced = { texts: 2, tooMuch: 2.25 * GiB, isForced: true };
    expect(roomForActivations(opened('wasm', 1), forced)).toEqual({
      bytes: 2.5 * GiB,
      limit: 'heap',
    });
    expect(roomForActivations(opened('webgpu', 1), forced).bytes).toBe(Infinity);
  });
});

describe('a plan', () => {
  const names = [...allMaps, 'layer_0_lens_ids', 'layer_0_lens_probs', 'final_norm'];
  const sizeOf = (open: readonly string[], tokens: number): number => {
    const sizes = activationBytes(variant, tokens);
    return open.reduce((sum, name) => sum + (sizes.get(name) ?? NaN), 0);
  };
  const plan = (
    wanted: readonly string[],
    tokens: number,
    bytes: number,
    staying: readonly string[] | null = null,
  ): Plan => planActivations({ variant, wanted, tokens, room: { bytes, limit: 'heap' }, staying });

  test('never opens more than there is room for, tells of all that it leaves, and keeps what it can', () => {
    fc.assert(
      fc.property(
        fc.subarray(names),
        fc.integer({ min: 1, max: CONTEXT }),
        fc.integer({ min: 0, max: 6e9 }),
        fc.option(fc.subarray(names)),
        (wanted, tokens, room, staying) => {
          const { open, leftOut } = plan(wanted, tokens, room, staying);
          expect(sizeOf(open, tokens)).toBeLessThanOrEqual(room);
          const left = [...(leftOut?.names ?? [])];
          expect([...open, ...left].toSorted()).toEqual(wanted.toSorted());
          if (sizeOf(wanted, tokens) <= room) expect(left).toEqual([]);
          // The lens is read in pairs.
          const asked = wanted.filter((name) => name.includes('lens')).length;
          const lens = open.filter((name) => name.includes('lens')).length;
          expect([0, asked]).toContain(lens);
        },
      ),
    );
  });

  test('does not keep half of what a tap gives while the other half is asked for too', () => {
    const [ids, probs] = ['layer_0_lens_ids', 'layer_0_lens_probs'];
    expect(plan([ids, probs], 1, 20, [ids]).open).toEqual([]);
    // Room for a text that grows by a quarter, in whole tokens.
    expect(plan([ids, probs, 'final_norm'], 1, 80, [ids]).open).toEqual([ids, probs]);
  });

  test('opens what was exported first, then what was asked for first', () => {
    const three = 3 * 4 * 25 * 1024 * 1024;
    const { open } = plan(allMaps, 1024, three);
    expect(open).toEqual([mapOf(0), mapOf(1), mapOf(LAYERS - 1)]);
  });

  test('leaves what is open alone while a text grows, and leaves some room when it must close some', () => {
    const room = 1e9;
    let open: readonly string[] = allMaps;
    let changes = 0;
    for (let tokens = 1; tokens <= CONTEXT; tokens++) {
      const next = plan(allMaps, tokens, room, open).open;
      if (next !== open && next.length !== open.length) changes++;
      open = next;
    }
    // From 48 maps down to 9, each time by a third at least: the square of 1.25 is over 1.5.
    expect(open.length).toBe(Math.floor(room / (4 * 25 * 1024 * 1024)));
    expect(changes).toBeLessThanOrEqual(5);
    expect(plan(allMaps, 10, room, open).open).toEqual(allMaps);
  });
});

class FakeStorage implements Storage {
  readonly kept = new Map<string, string>();
  get length(): number {
    return this.kept.size;
  }
  clear(): void {
    this.kept.clear();
  }
  getItem(key: string): string | null {
    return this.kept.get(key) ?? null;
  }
  key(index: number): string | null {
    return [...this.kept.keys()][index] ?? null;
  }
  removeItem(key: string): void {
    this.kept.delete(key);
  }
  setItem(key: string, value: string): void {
    this.kept.set(key, value);
  }
}

const noStorage = (): Storage => {
  throw new DOMException('denied', 'SecurityError');
};

describe('what was too much before', () => {
  test('is known to the next page, the least of it, for each provider by itself', () => {
    const [lasting, ofTab] = [new FakeStorage(), new FakeStorage()];
    const page = (): MemoryRecords =>
      storedMemoryRecords(
        () => lasting,
        () => ofTab,
      );
    page().record('wasm', 500);
    page().record('wasm', 700);
    expect(page().tooMuch('wasm')).toBe(500);
    expect(page().tooMuch('webgpu')).toBeNull();
    page().clear('wasm');
    expect(page().tooMuch('wasm')).toBeNull();
  });

  test('is also what a tab was at when it ended without a word', () => {
    const [lasting, ofTab] = [new FakeStorage(), new FakeStorage()];
    const page = (): MemoryRecords =>
      storedMemoryRecords(
        () => lasting,
        () => ofTab,
      );
    page().begin('webgpu', 900);
    expect(page().tooMuch('webgpu')).toBe(900);
    page().clear('webgpu');
    const whole = page();
    whole.begin('webgpu', 900);
    whole.end();
    expect(page().tooMuch('webgpu')).toBeNull();
  });

  test('lasts as long as the page where nothing can be kept, and strange marks are nothing', () => {
    const page = storedMemoryRecords(noStorage, noStorage);
    page.record('wasm', 500);
    expect(page.tooMuch('wasm')).toBe(500);
    const ofTab = new FakeStorage();
    for (const mark of ['wasm -1', 'wasm 1e9', 'gpu 5', 'wasm 99999999999999999999']) {
      ofTab.setItem('oriel.memory-under-way', mark);
      const records = storedMemoryRecords(
        () => new FakeStorage(),
        () => ofTab,
      );
      expect(records.tooMuch('wasm')).toBeNull();
    }
  });
});

/** Gives zeros for whatever is open; runs out of memory beyond what it has. */
class SmallClient implements ModelClient {
  readonly runs: RunRequest[] = [];
  readonly sessions: (readonly string[])[] = [];
  readonly #model: OpenedModel;
  #open: readonly string[];
  readonly #has: number;

  constructor(model: OpenedModel, has: number) {
    this.#model = model;
    this.#has = has;
    this.#open = model.activations;
  }
  firstPass(): Promise<null> {
    return Promise.resolve(null);
  }
  survey(): Promise<never> {
    return Promise.reject(new ModelError({ kind: 'aborted' }));
  }
  reach(): Promise<void> {
    return Promise.resolve();
  }
  open({ activations }: OpenRequest): Promise<OpenedModel> {
    this.#open = activations ?? this.#model.activations;
    return Promise.resolve({ ...this.#model, activations: ['logits', ...this.#open] });
  }
  setActivations(names: readonly string[]): Promise<OpenedModel> {
    this.sessions.push(names);
    this.#open = names;
    return Promise.resolve({ ...this.#model, activations: ['logits', ...names] });
  }
  setLens(name: string): Promise<OpenedModel> {
    return Promise.resolve({ ...this.#model, lens: name });
  }
  run(request: RunRequest): Promise<RunResult> {
    this.runs.push(request);
    const { ids } = request;
    const sizes = activationBytes(variant, ids.length);
    const bytes = this.#open.reduce((sum, name) => sum + (sizes.get(name) ?? 0), 0);
    if (bytes > this.#has) {
      const failure = {
        variant: 'fp32',
        provider: this.#model.facts.provider,
        cause: 'out-of-memory',
        next: null,
      } as const;
      return Promise.reject(new ModelError({ kind: 'run', detail: 'std::bad_alloc', failure }));
    }
    const tensors = this.#open.map((name) => ({ name, dims: [1, 1], data: new Float32Array(1) }));
    const lastLogits = new Float32Array(64);
    return Promise.resolve({ ids, start: 0, lastLogits, tensors, timings: { runMs: 1 } });
  }
  cachedModels(): Promise<null> {
    return Promise.resolve(null);
  }
  forget(): Promise<null> {
    return Promise.resolve(null);
  }
  encode(): Promise<never> {
    return Promise.reject(new ModelError({ kind: 'no-tokenizer' }));
  }
  pieces(): Promise<never> {
    return Promise.reject(new ModelError({ kind: 'no-tokenizer' }));
  }
  prove(): Promise<null> {
    return Promise.resolve(null);
  }

  prepare(): Promise<PreparedSession> {
    return Promise.reject(new ModelError({ kind: 'session', detail: 'nothing is prepared here' }));
  }
  savedGraph(): Promise<Uint8Array<ArrayBuffer>> {
    return Promise.resolve(new Uint8Array());
  }
  runBatch(): Promise<never> {
    return Promise.reject(new Error('no view runs several texts'));
  }
  alternatives(): Promise<never> {
    return Promise.reject(new Error('no view asks for alternatives'));
  }
  sweep(): Promise<never> {
    return Promise.reject(new Error('no view sweeps'));
  }
  measureLens(): Promise<never> {
    return Promise.reject(new Error('no view measures layers'));
  }
  readNeurons(): Promise<never> {
    return Promise.reject(new Error('no view reads neurons'));
  }

  readUnits(): Promise<never> {
    return Promise.reject(new Error('no view reads neurons'));
  }
  openDictionary(): Promise<never> {
    return Promise.reject(new Error('no view opens dictionaries'));
  }
  readFeatures(): Promise<never> {
    return Promise.reject(new Error('no view reads features'));
  }
  close(): void {
    this.#open = [];
  }
}

/** Ids, as the model has no tokenizer. */
const text = (tokens: number): string => Array.from({ length: tokens }, () => '1').join(' ');

async function read(
  client: SmallClient,
  records: MemoryRecords,
  tokens: number,
  activations?: readonly string[],
): Promise<ModelSession> {
  const session = new ModelSession(() => client, Math.random, records);
  session.prompt.beginWith({ text: text(tokens) }, true);
  const request = { url: 'x', provider: 'wasm' } as const;
  await session.opening.open(activations === undefined ? request : { ...request, activations });
  return session;
}

const mapBytes = 4 * 25 * 1024 * 1024;
const newRecords = (): MemoryRecords => storedMemoryRecords(noStorage, noStorage);

describe('a session', () => {
  test('opens what fits of a link that asks for more, and says how much is left out', async () => {
    const client = new SmallClient(opened('wasm', 64), Infinity);
    const session = await read(client, newRecords(), 1024, allMaps);
    const fits = Math.floor((2.5 * GiB) / mapBytes);
    expect(client.sessions.map(({ length }) => length)).toEqual([fits]);
    expect(session.model?.activations).toContain(mapOf(LAYERS - 1));
    expect(session.answer?.activations.names).toHaveLength(fits);
    expect(session.chosen.leftOut).toMatchObject({ open: fits, tokens: 1024, limit: 'heap' });
    expect(session.chosen.leftOut?.bytes).toBe(48 * mapBytes);
    // The link still asks for all: another device may have room.
    expect(session.chosen.wanted).toEqual(allMaps);
  });

  test('closes some as the text grows, and opens them again as it shrinks', async () => {
    const client = new SmallClient(opened('wasm', 64), Infinity);
    const session = await read(client, newRecords(), 10, allMaps);
    expect(session.chosen.leftOut).toBeNull();
    expect(client.sessions).toHaveLength(0);
    await session.prompt.replace(text(1024));
    expect(session.chosen.leftOut?.names.size).toBeGreaterThan(0);
    await session.prompt.replace(text(10));
    expect(session.chosen.leftOut).toBeNull();
    expect(session.answer?.activations.names).toHaveLength(48);
  });

  test('refuses what does not fit beside what is open, which stays', async () => {
    const client = new SmallClient(opened('wasm', 64), Infinity);
    const some = allMaps.slice(0, Math.floor((2.5 * GiB) / mapBytes));
    const session = await read(client, newRecords(), 1024, some);
    const { answer } = session;
    await session.answers.setActivations([...some, mapOf(40)]);
    expect(client.sessions).toHaveLength(0);
    expect([...(session.chosen.leftOut?.names ?? [])]).toEqual([mapOf(40)]);
    expect(session.answer).toBe(answer);
    await session.answers.setActivations(null);
    expect(session.chosen.leftOut).toBeNull();
    expect(client.sessions).toEqual([[mapOf(LAYERS - 1)]]);
  });

  test('opens fewer by itself where memory ends sooner than was thought, and never asks twice for that much', async () => {
    const records = newRecords();
    const client = new SmallClient(opened('wasm', 64), 10 * mapBytes);
    const session = await read(client, records, 1024, allMaps);
    expect(session.opening.stage.kind).toBe('ready');
    expect(session.notices.current).toBeNull();
    expect(session.answer?.activations.names.length).toBeGreaterThan(4);
    expect(session.answer?.activations.names.length).toBeLessThanOrEqual(10);
    expect(session.chosen.leftOut?.limit).toBe('failed');
    // The same link once more.
    const again = new SmallClient(opened('wasm', 64), 10 * mapBytes);
    const second = await read(again, records, 1024, allMaps);
    expect(again.runs).toHaveLength(1);
    expect(second.answer?.activations.names.length).toBeGreaterThan(4);
  });

  test('asks for all once more where the reader wants it, and forgets what it feared if that works', async () => {
    const records = newRecords();
    records.record('wasm', 2.2 * GiB);
    const client = new SmallClient(opened('wasm', 64), Infinity);
    const wanted = allMaps.slice(0, 10);
    const session = await read(client, records, 1024, wanted);
    expect(session.chosen.leftOut?.limit).toBe('failed');
    await session.answers.openAllTheSame();
    expect(session.chosen.leftOut).toBeNull();
    expect(session.answer?.activations.names).toHaveLength(10);
    expect(records.tooMuch('wasm')).toBeNull();
  });

  test('tells of a failure that no activation is to blame for', async () => {
    const client = new SmallClient(opened('wasm', 64), -1);
    const session = await read(client, newRecords(), 10);
    expect(session.opening.stage.kind).toBe('failed');
    expect(client.sessions).toHaveLength(0);
  });
});
