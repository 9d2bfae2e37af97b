// The session with a client whose numbers tell what was fed: newest text wins, rows join, interventions compare.
import { describe, expect, test } from 'vitest';
import { ComparedModel } from '../../apps/web/src/session/compared_model.svelte';
import { Comparisons } from '../../apps/web/src/session/comparisons.svelte';
import { KeptRuns } from '../../apps/web/src/session/kept_runs.svelte';
import { ModelSession } from '../../apps/web/src/session/model_session.svelte';
import {
  headsOff,
  interventionKey,
  noInterventions,
  switchingOff,
} from '../../apps/web/src/inference/interventions';
import type { KeptRun } from '../../apps/web/src/inference/kept_runs';
import { listed } from '../../apps/web/src/inference/listed_edits';
import { ModelError } from '../../apps/web/src/inference/model_error';
import type {
  ModelClient,
  PreparedSession,
  PrepareRequest,
} from '../../apps/web/src/inference/client_interface';
import type {
  FirstPass,
  ModelErrorData,
  OpenedModel,
  OpenRequest,
  RunRequest,
  RunResult,
  Survey,
  TokenPiece,
} from '../../apps/web/src/inference/model_types';
import {
  noAlternatives,
  type Alternatives,
  type AlternativesRequest,
} from '../../apps/web/src/inference/token_alternatives';

const VOCAB = 32;
const CONTEXT = 12;

/** One token per letter; the logits point at the letter after the last, lower where heads are off. */
class LetterClient implements ModelClient {
  readonly prepared: (readonly string[])[] = [];
  readonly used: (readonly string[])[] = [];
  finishPreparing = (): void => undefined;
  opens = model;
  readonly runs: RunRequest[] = [];
  readonly asked: AlternativesRequest[] = [];
  readonly surveys: OpenRequest[] = [];
  readonly requests: OpenRequest[] = [];
  readonly reached: OpenRequest[] = [];
  outOfReach: ModelError | null = null;
  cached: readonly number[] = [];
  cachedKey = '';
  failNext: ModelError | null = null;
  /** What the publisher computed; an error where it can't be used. */
  published: FirstPass | ModelError | null = null;
  /** Opening waits for it. */
  weights: Promise<void> = Promise.resolve();

  firstPass(): Promise<FirstPass | null> {
    const { published } = this;
    return published instanceof ModelError ? Promise.reject(published) : Promise.resolve(published);
  }
  survey(request: OpenRequest): Promise<Survey> {
    this.surveys.push(request);
    const variant = request.variant ?? 'q8';
    // Only what the session reads.
    return Promise.resolve({ offer: { choice: { variant } } } as unknown as Survey);
  }
  async open(request: OpenRequest): Promise<OpenedModel> {
    this.requests.push(request);
    await this.weights;
    if (this.failNext !== null) throw this.takeFailure();
    return this.opens;
  }
  reach(request: OpenRequest): Promise<void> {
    this.reached.push(request);
    return this.outOfReach === null ? Promise.resolve() : Promise.reject(this.outOfReach);
  }
  setActivations(names: readonly string[]): Promise<OpenedModel> {
    this.cached = [];
    return Promise.resolve({ ...model, activations: names });
  }
  setLens(name: string): Promise<OpenedModel> {
    if (name === 'forged')
      return Promise.reject(
        new ModelError({ kind: 'unfit-lens', name, reason: 'damaged', detail: 'NaN' }),
      );
    this.cached = [];
    return Promise.resolve({ ...model, lens: name });
  }
  encode(text: string): Promise<TokenPiece[]> {
    return this.pieces(Array.from(text, (letter) => letter.charCodeAt(0) - 97));
  }
  cachedModels(): Promise<null> {
    return Promise.resolve(null);
  }
  forget(): Promise<null> {
    return Promise.resolve(null);
  }
  pieces(ids: readonly number[]): Promise<TokenPiece[]> {
    return Promise.resolve(ids.map((id) => ({ id, bytes: Uint8Array.of(97 + id) })));
  }
  run(request: RunRequest): Promise<RunResult> {
    this.runs.push(request);
    if (this.failNext !== null) return Promise.reject(this.takeFailure());
    const { ids } = request;
    const key = interventionKey(request.interventions ?? noInterventions, ids.length);
    let start = 0;
    if (request.reuseCache && key === this.cachedKey)
      while (start < ids.length - 1 && ids[start] === this.cached[start]) start++;
    if (request.keepCache !== false) {
      this.cached = ids;
      this.cachedKey = key;
    }
    const lastLogits = new Float32Array(VOCAB);
    lastLogits[((ids.at(-1) ?? 0) + 1) % VOCAB] = key === '' ? 9 : 3;
    const fed = ids.slice(start);
    return Promise.resolve({
      ids,
      start,
      lastLogits,
      tensors: [{ name: 'final_norm', dims: [1, fed.length, 1], data: Float32Array.from(fed) }],
      timings: { runMs: 1 },
    });
  }
  prove(): Promise<null> {
    return Promise.resolve(null);
  }

  async prepare({ activations }: PrepareRequest, signal: AbortSignal): Promise<PreparedSession> {
    this.prepared.push(activations);
    await new Promise<void>((resolve, reject) => {
      this.finishPreparing = resolve;
      signal.addEventListener('abort', () => {
        reject(new ModelError({ kind: 'aborted' }));
      });
    });
    return {
      model: { ...this.opens, activations },
      use: () => {
        this.used.push(activations);
        this.cached = [];
        return Promise.resolve();
      },
    };
  }
  savedGraph(): Promise<Uint8Array<ArrayBuffer>> {
    return Promise.resolve(new Uint8Array());
  }
  runBatch(): Promise<never> {
    return Promise.reject(new Error('no view runs several texts'));
  }
  alternatives(request: AlternativesRequest): Promise<Alternatives> {
    this.asked.push(request);
    return Promise.resolve(noAlternatives({ ...request, top: 2 }));
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
    this.cached = [];
  }
  private takeFailure(): ModelError {
    const failure = this.failNext ?? new ModelError({ kind: 'aborted' });
    this.failNext = null;
    return failure;
  }
}

const shape = { layers: 2, heads: 2, vocab: VOCAB, context_length: CONTEXT };

const model = {
  manifest: { model: { shape }, files: [], lens_packs: [{ name: 'tuned' }, { name: 'forged' }] },
  variant: {
    name: 'fp32',
    plain: { activations: { outputs: [] } },
    interactive: { activations: { graph: 'interactive', outputs: [], model: shape } },
    taps: [],
    weights: [],
  },
  facts: { provider: 'wasm' },
  offer: { variants: [] },
  device: { memoryGiB: 8 },
  activations: ['logits', 'final_norm'],
  lens: 'logit',
  hasTokenizer: true,
  tokenizerTrouble: null,
  timings: { downloadMs: 0, sessionMs: 0, downloadedBytes: 0 },
  // Only what the session reads.
} as unknown as OpenedModel;

async function opened(prompt: string): Promise<{ client: LetterClient; session: ModelSession }> {
  const client = new LetterClient();
  const session = new ModelSession(
    () => client,
    () => 0.5,
  );
  session.prompt.beginWith({ text: prompt }, false);
  await session.opening.open({ url: 'x', provider: 'auto' });
  return { client, session };
}

/** A promise that the test settles. */
function withResolvers<Value>(): {
  promise: Promise<Value>;
  resolve: (value: Value) => void;
  reject: (error: Error) => void;
} {
  let resolve: (value: Value) => void = () => undefined;
  let reject: (error: Error) => void = () => undefined;
  const promise = new Promise<Value>((...settle) => ([resolve, reject] = settle));
  return { promise, resolve, reject };
}

function rows(session: ModelSession): number[] {
  const answer = session.answer;
  const series = answer?.activations.get('final_norm');
  return answer?.tokens.map((token) => series?.row(token.position)[0] ?? NaN) ?? [];
}

const GREEDY = { temperature: 0, topK: 0, topP: 1, minP: 0, seed: null };

describe('a session beside the open one', () => {
  /** A model that is in the browser's store, and far smaller than the device's memory. */
  const kept = {
    ...model,
    isKept: true,
    offer: {
      variants: [{ name: 'fp32', on: { wasm: { memory: 1000 }, webgpu: { memory: 1000 } } }],
    },
  } as unknown as OpenedModel;

  async function openedKept(): Promise<{ client: LetterClient; session: ModelSession }> {
    const client = new LetterClient();
    client.opens = kept;
    const session = new ModelSession(() => client);
    session.prompt.beginWith({ text: 'ab' }, false);
    await session.opening.open({ url: 'x', provider: 'auto' });
    return { client, session };
  }

  const more = ['final_norm', 'embedding_sum'];

  test('is created while the open one answers, and replaces it', async () => {
    const { client, session } = await openedKept();
    const changing = session.answers.setActivations(more);
    expect(session.answers.preparing).toMatchObject({ isBeside: true, lastMs: 0 });
    await session.prompt.replace('xyz');
    expect(session.answer?.tokens).toHaveLength(3);
    expect(session.model?.activations).toEqual(['logits', 'final_norm']);
    const before = client.runs.length;
    client.finishPreparing();
    await changing;
    expect(client.prepared).toEqual([more]);
    expect(client.used).toEqual([more]);
    expect(session.answers.preparing).toBeNull();
    expect(session.model?.activations).toEqual(more);
    // The text is run again from its first token, since the new session has no cache.
    expect(client.runs.slice(before).map(({ ids }) => ids.length)).toEqual([3]);
    expect(rows(session)).toEqual([23, 24, 25]);
  });

  test('is cancelled when the reader cancels it', async () => {
    const { client, session } = await openedKept();
    const changing = session.answers.setActivations(more);
    session.answers.keepOpen();
    await changing;
    expect(session.answers.preparing).toBeNull();
    expect(client.used).toEqual([]);
    expect(session.notices.current).toBeNull();
    // A later text doesn't create the cancelled session.
    await session.prompt.replace('abc');
    expect(session.model?.activations).toEqual(['logits', 'final_norm']);
    expect(session.chosen.wanted).toEqual([]);
    expect(client.prepared).toHaveLength(1);
  });

  test('is cancelled by the next selection', async () => {
    const { client, session } = await openedKept();
    const first = session.answers.setActivations(more);
    const second = session.answers.setActivations([...more, 'layer_0_q']);
    await first;
    client.finishPreparing();
    await second;
    expect(client.used).toEqual([[...more, 'layer_0_q']]);
  });

  test('is replaced by a change in place if it fails', async () => {
    const { client, session } = await openedKept();
    client.prepare = () => Promise.reject(new ModelError({ kind: 'session', detail: 'no room' }));
    await session.answers.setActivations(more);
    expect(session.model?.activations).toEqual(more);
    expect(session.answers.preparing).toBeNull();
  });

  test('does not bring back the lens of before where another one came meanwhile', async () => {
    const { client, session } = await openedKept();
    const lens = withResolvers<OpenedModel>();
    client.setLens = () => lens.promise;
    const reading = session.answers.setLens('tuned');
    const changing = session.answers.setActivations(more);
    client.finishPreparing();
    client.setActivations = (activations) =>
      Promise.resolve({ ...kept, activations, lens: 'tuned' });
    lens.resolve({ ...kept, lens: 'tuned' });
    await Promise.all([reading, changing]);
    expect(client.used).toEqual([]);
    expect(session.model).toMatchObject({ lens: 'tuned', activations: more });
  });

  test('can be given up although another was being made in place when it began', async () => {
    const { client, session } = await openedKept();
    const inPlace = withResolvers<OpenedModel>();
    client.setActivations = () => inPlace.promise;
    client.opens = { ...kept, isKept: false };
    session.opening.model = client.opens;
    const first = session.answers.setActivations(more);
    await new Promise((resolve) => setTimeout(resolve, 0));
    session.opening.model = kept;
    const second = session.answers.setActivations([...more, 'layer_0_q']);
    inPlace.resolve({ ...kept, activations: more });
    await first;
    expect(session.answers.preparing).toMatchObject({ isBeside: true });
    session.answers.keepOpen();
    await second;
    expect(client.used).toEqual([]);
  });

  test.each([
    ['the device has no room for two', { device: { memoryGiB: 1e-6 } }],
    ['the model is not in the store', { isKept: false }],
    ['the model runs on a GPU', { facts: { provider: 'webgpu' } }],
    ['no manifest proves its files', { isBare: true }],
  ])('is not made where %s', async (_, differs) => {
    const client = new LetterClient();
    client.opens = { ...kept, ...differs } as OpenedModel;
    const session = new ModelSession(() => client);
    session.prompt.beginWith({ text: 'ab' }, false);
    await session.opening.open({ url: 'x', provider: 'auto' });
    await session.answers.setActivations(more);
    expect(client.prepared).toEqual([]);
    expect(session.model?.activations).toEqual(more);
  });
});

describe('text', () => {
  test('opening answers for the prompt that stands there', async () => {
    const { session } = await opened('abc');
    expect(session.opening.stage.kind).toBe('ready');
    expect(session.answer?.tokens.map((token) => token.label).join('')).toBe('abc');
    expect(rows(session)).toEqual([0, 1, 2]);
  });

  test('of texts that follow each other quickly the last one stands', async () => {
    const { session } = await opened('a');
    await Promise.all([
      session.prompt.replace('abcd'),
      session.prompt.replace('xy'),
      session.prompt.replace('hello'),
    ]);
    expect(session.answer?.tokens.map((token) => token.label).join('')).toBe('hello');
    expect(rows(session)).toEqual([7, 4, 11, 11, 14]);
  });

  test('beyond the context the first tokens are read and a notice says so', async () => {
    const { session } = await opened('a'.repeat(15));
    expect(session.notices.current).toEqual({
      kind: 'too-long',
      tokens: 15,
      limit: CONTEXT,
      complete: true,
    });
    expect(session.answer?.tokens).toHaveLength(CONTEXT);
    await session.prompt.replace('ab');
    expect(session.notices.current).toBeNull();
  });

  test('no text, no answer', async () => {
    const { session } = await opened('ab');
    await session.prompt.replace('');
    expect(session.answer).toBeNull();
  });
});

describe('a text that comes from elsewhere', () => {
  test('a link’s text can be undone, and so can a model’s own example after it', async () => {
    const { session } = await opened('ab');
    session.prompt.beginWith({ text: 'abc' }, true);
    expect(session.prompt.canUndo).toBe(false);
    await session.prompt.replace('mine');
    session.prompt.beginWith({ text: 'xyz' }, false);
    await session.prompt.undo();
    expect(session.prompt.text).toBe('mine');
    session.prompt.beginWith({ text: 'xyz' }, false);
    await session.opening.open({ url: 'y', provider: 'auto' });
    await session.prompt.undo();
    expect(session.prompt.text).toBe('mine');
  });
});

describe('ids that were kept', () => {
  test('are given up aloud where the text spells something else', async () => {
    const { session } = await opened('ab');
    session.prompt.beginWith({ text: 'abc', ids: [23, 24] }, true);
    await session.prompt.readAgain();
    expect(session.prompt.ids).toEqual([0, 1, 2]);
    expect(session.prompt.idsGivenUp).toBe(true);
    await session.prompt.replace('ab');
    expect(session.prompt.idsGivenUp).toBe(false);
    // The tokenizer's own in a link are nothing to speak of.
    session.prompt.beginWith({ text: 'abc', ids: [0, 1, 2] }, true);
    await session.prompt.readAgain();
    expect(session.prompt.idsGivenUp).toBe(false);
  });
});

describe('steps', () => {
  test('that are asked for together follow each other', async () => {
    const { session } = await opened('ab');
    await Promise.all([session.generation.step(GREEDY), session.generation.step(GREEDY)]);
    expect(session.prompt.text).toBe('abcd');
  });

  test('feed one token each and join on', async () => {
    const { client, session } = await opened('ab');
    await session.generation.step(GREEDY);
    await session.generation.step(GREEDY);
    expect(session.prompt.text).toBe('abcd');
    expect(rows(session)).toEqual([0, 1, 2, 3]);
    expect(session.answer?.tokens.map((token) => token.generated)).toEqual([
      false,
      false,
      true,
      true,
    ]);
    expect(client.runs.every((run) => run.reuseCache)).toBe(true);
    expect(session.answers.times.step?.total).toBe(4);
    await session.prompt.removeLast();
    expect(session.prompt.text).toBe('abc');
    expect(rows(session)).toEqual([0, 1, 2]);
  });

  test('play stops at the end of the context', async () => {
    const { session } = await opened('abcdefghij');
    await session.generation.play(() => GREEDY);
    expect(session.answer?.tokens).toHaveLength(CONTEXT);
    expect(session.generation.end).toEqual({ reason: 'context-full' });
    expect(session.generation.running).toBe(false);
  });

  test('another lens recomputes every token, and a forged one changes nothing', async () => {
    const { client, session } = await opened('abcdefg');
    const before = client.runs.length;
    await session.answers.setLens('tuned');
    expect(session.model?.lens).toBe('tuned');
    expect(client.runs).toHaveLength(before + 1);
    const { answer } = session;
    await session.answers.setLens('tuned');
    await session.answers.setLens('forged');
    expect(session.model?.lens).toBe('tuned');
    expect(session.answer).toBe(answer);
    expect(client.runs).toHaveLength(before + 1);
    expect(session.notices.current).toMatchObject({ kind: 'error', error: { kind: 'unfit-lens' } });
  });

  test('a tap opened meanwhile does not end it', async () => {
    const { client, session } = await opened('abcdefg');
    const playing = session.generation.play(() => GREEDY);
    await session.answers.setActivations(['final_norm', 'embedding_sum']);
    expect(session.generation.running).toBe(true);
    await playing;
    expect(rows(session)).toEqual(Array.from({ length: CONTEXT }, (_, id) => id));
    expect(session.model?.activations).toContain('embedding_sum');
    expect(client.cached).toHaveLength(CONTEXT);
  });

  test('stop stops', async () => {
    const { session } = await opened('a');
    const playing = session.generation.play(() => GREEDY);
    await new Promise((resolve) => setTimeout(resolve, 60));
    session.generation.stop();
    await playing;
    expect(session.answer?.tokens.length).toBeLessThan(CONTEXT);
  });

  test('a text that is taken away with a head off ends it quietly', async () => {
    const { session } = await opened('abc');
    await session.answers.setInterventions(switchingOff([[1, 0]]));
    const playing = session.generation.play(() => GREEDY);
    await session.prompt.replace('');
    await playing;
    expect([session.generation.running, session.answer]).toEqual([false, null]);
  });

  test('a cache that holds other rows than ours leads to a whole run', async () => {
    const { client, session } = await opened('abc');
    // As if the engine knew more than any answer has brought.
    client.cached = [3, 4, 5, 6];
    await session.prompt.replace('defgh');
    expect(client.runs.at(-1)?.reuseCache).toBe(false);
    expect(rows(session)).toEqual([3, 4, 5, 6, 7]);
  });
});

describe('interventions', () => {
  test('bring the untouched prediction along, computed once', async () => {
    const { client, session } = await opened('abc');
    await session.answers.setInterventions(switchingOff([[1, 0]]));
    expect(headsOff(session.answer?.interventions ?? [])).toEqual([[1, 0]]);
    expect(session.answer?.untouchedLogits?.[3]).toBe(9);
    expect(session.answer?.activations.lastLogits[3]).toBe(3);
    expect(client.runs).toHaveLength(2);
    await session.prompt.replace('abcd');
    expect(session.answer?.untouchedLogits?.[4]).toBe(9);
    await session.answers.setInterventions(noInterventions);
    expect(session.answer?.untouchedLogits).toBeNull();
    expect(session.answer?.activations.lastLogits[4]).toBe(9);
  });

  test('come back from the cache in whatever order and beside whichever neutral ones', async () => {
    const { client, session } = await opened('abc');
    await session.answers.setInterventions(
      switchingOff([
        [1, 0],
        [0, 1],
      ]),
    );
    const { length } = client.runs;
    const neutral = { edit: 'scale', joint: 'attn_z', layer: 1, head: 1, factor: 1 } as const;
    await session.answers.setInterventions([
      neutral,
      ...switchingOff([
        [0, 1],
        [1, 0],
      ]),
    ]);
    // One more run through the engine's cache, and no whole one.
    expect(client.runs).toHaveLength(length + 1);
    expect(client.runs.at(-1)?.reuseCache).toBe(true);
    expect(rows(session)).toEqual([0, 1, 2]);
  });
});

describe('variants', () => {
  const settled = () => new Promise((resolve) => setTimeout(resolve));

  test('what is opened is surveyed, and beside it what the device would choose', async () => {
    const client = new LetterClient();
    const session = new ModelSession(() => client);
    await session.opening.open({ url: 'x', provider: 'wasm', variant: 'q4' });
    await settled();
    expect(session.opening.survey?.offer.choice?.variant).toBe('q4');
    expect(session.opening.suited?.variant).toBe('q8');
    expect(client.surveys.at(-1)).toEqual({ url: 'x', provider: 'auto' });
  });

  test('a choice stays through other changes and can be given back to the device', async () => {
    const { session } = await opened('ab');
    expect(session.opening.variant).toBeNull();
    await session.opening.retry({ variant: 'q4' });
    await session.opening.retry({ provider: 'wasm' });
    expect([session.opening.variant, session.opening.provider]).toEqual(['q4', 'wasm']);
    expect(session.opening.isOpenAs({ variant: 'q4', url: 'x', provider: 'wasm' })).toBe(true);
    expect(session.opening.isOpenAs({ url: 'x', provider: 'wasm' })).toBe(false);
    await session.opening.retry({ variant: null, provider: 'auto' });
    expect(session.opening.variant).toBeNull();
    expect(session.opening.isOpenAs({ url: 'x', provider: 'auto' })).toBe(true);
  });

  test('what cannot be fetched now is declined, and what is open stays open', async () => {
    const { client, session } = await opened('ab');
    const before = session.answer;
    const offline = { kind: 'network', url: 'x/q4', offline: true } as const;
    client.outOfReach = new ModelError(offline);
    await session.opening.change({ variant: 'q4' });
    expect(client.reached).toEqual([{ url: 'x', provider: 'auto', variant: 'q4' }]);
    expect(client.requests).toHaveLength(1);
    expect(session.opening.declined).toEqual(offline);
    expect([session.opening.stage.kind, session.opening.variant]).toEqual(['ready', null]);
    expect(session.answer).toBe(before);
    await session.prompt.append(2);
    expect(rows(session)).toEqual([0, 1, 2]);

    client.outOfReach = null;
    await session.opening.change({ variant: 'q4' });
    expect([session.opening.declined, session.opening.variant]).toEqual([null, 'q4']);
    // Where nothing works there is nothing to lose.
    client.outOfReach = new ModelError(offline);
    client.failNext = new ModelError(offline);
    await session.opening.retry();
    expect(session.opening.stage.kind).toBe('failed');
    await session.opening.change({ variant: 'q8' });
    expect([session.opening.stage.kind, session.opening.variant]).toEqual(['ready', 'q8']);
  });

  test('a wish that is still being found out closes nothing, and only the newest counts', async () => {
    const { client, session } = await opened('ab');
    const answer = session.answer;
    const unknown = { kind: 'unknown-model', got: 'gone', known: ['x'] } as const;
    expect(await session.opening.mayOpen(Promise.reject(new ModelError(unknown)))).toBe(false);
    expect([session.opening.declined, session.opening.stage.kind]).toEqual([unknown, 'ready']);
    // Nothing is asked for where it is open already.
    expect(await session.opening.mayOpen(Promise.resolve(null))).toBe(true);
    expect([session.opening.declined, client.reached]).toEqual([null, []]);

    const late = withResolvers<OpenRequest>();
    const older = session.opening.mayOpen(late.promise);
    expect(session.opening.checking).toBe(true);
    expect(await session.opening.mayOpen({ url: 'y', provider: 'auto' })).toBe(true);
    late.reject(new ModelError(unknown));
    expect([await older, session.opening.declined, session.opening.checking]).toEqual([
      false,
      null,
      false,
    ]);

    // Back, while the next one is being looked for.
    const reach = withResolvers<undefined>();
    client.reach = () => reach.promise;
    const left = session.opening.mayOpen({ url: 'z', provider: 'auto' });
    session.opening.stay();
    reach.resolve(undefined);
    expect([await left, session.opening.declined, session.opening.checking]).toEqual([
      false,
      null,
      false,
    ]);
    expect(session.answer).toBe(answer);
    expect(client.requests).toHaveLength(1);
  });

  test('a refusal while a model is being opened leaves its opening alone', async () => {
    const client = new LetterClient();
    const session = new ModelSession(() => client);
    expect(session.opening.holdsModel).toBe(false);
    const weights = withResolvers<undefined>();
    client.weights = weights.promise;
    session.prompt.beginWith({ text: 'ab' }, true);
    const opening = session.opening.open({ url: 'x', provider: 'auto' });
    expect(session.opening.holdsModel).toBe(true);
    const unknown = { kind: 'unknown-model', got: 'gone', known: [] } as const;
    expect(await session.opening.mayOpen(Promise.reject(new ModelError(unknown)))).toBe(false);
    expect(session.opening.declined).toEqual(unknown);
    weights.resolve(undefined);
    await opening;
    expect([session.opening.stage.kind, rows(session)]).toEqual(['ready', [0, 1]]);
    session.opening.refuse(unknown);
    expect(session.opening.holdsModel).toBe(false);
  });

  test('one that never answers has failed, with what to open instead', async () => {
    const failure: ModelErrorData = {
      kind: 'run',
      detail: 'boom',
      failure: {
        variant: 'fp16',
        provider: 'webgpu',
        cause: 'no-f16',
        next: { variant: 'q8', provider: 'wasm' },
      },
    };
    const client = new LetterClient();
    const session = new ModelSession(() => client);
    session.prompt.beginWith({ text: '' }, false);
    await session.opening.open({ url: 'x', provider: 'auto' });
    client.failNext = new ModelError(failure);
    await session.prompt.replace('ab');
    expect(session.opening.stage).toEqual({ kind: 'failed', error: failure });
    await session.opening.retry({ variant: 'q8' });
    expect(session.opening.stage.kind).toBe('ready');
    expect(rows(session)).toEqual([0, 1]);
    // What broke down is not to be offered again, until another model is opened.
    expect(client.requests.at(-1)?.tried).toEqual([{ variant: 'fp16', provider: 'webgpu' }]);
    await session.opening.open({ url: 'y', provider: 'auto' });
    expect(client.requests.at(-1)?.tried).toBeUndefined();
  });
});

describe('compared', () => {
  async function both(): Promise<{
    a: ModelSession;
    b: ComparedModel;
    client: LetterClient;
    closed: () => number;
  }> {
    const { session } = await opened('abc');
    const client = new LetterClient();
    let closes = 0;
    client.close = () => {
      closes++;
    };
    const compared = new ComparedModel(() => client);
    return { a: session, b: compared, client, closed: () => closes };
  }
  const read = (b: ComparedModel): string =>
    b.comparison?.a.tokens.map((token) => token.label).join('') ?? '';
  const settled = () => new Promise((resolve) => setTimeout(resolve, 5));

  test('reads what the page reads, with the same heads off', async () => {
    const { a, b, client } = await both();
    await b.open({ url: 'x', variant: 'q4', provider: 'auto' });
    await a.answers.setInterventions(switchingOff([[1, 0]]));
    if (a.answer !== null) b.follow(a.answer, []);
    await settled();
    expect(read(b)).toBe('abc');
    expect(client.runs.at(-1)?.interventions).toEqual(switchingOff([[1, 0]]));
    expect(b.comparison?.b.lastLogits[3]).toBe(3);
    expect(b.comparison?.pieces.get(3)?.bytes).toEqual(Uint8Array.of(100));
  });

  test('of texts that come while it reads, the newest is read', async () => {
    const { a, b, client } = await both();
    await b.open({ url: 'x', variant: 'q4', provider: 'auto' });
    for (const text of ['ab', 'abcd', 'xyz']) {
      await a.prompt.replace(text);
      if (a.answer !== null) b.follow(a.answer, []);
    }
    await settled();
    expect(read(b)).toBe('xyz');
    expect(client.runs.map((run) => run.ids)).not.toContainEqual([0, 1, 2, 3, 4]);
  });

  test('what it was told before it was open is read once it is', async () => {
    const { a, b } = await both();
    if (a.answer !== null) b.follow(a.answer, []);
    expect(b.comparison).toBeNull();
    await b.open({ url: 'x', variant: 'q4', provider: 'auto' });
    await settled();
    expect(read(b)).toBe('abc');
  });

  test('closing ends its worker and forgets it, and what a link named', async () => {
    const { a, b, closed } = await both();
    b.linked = 'q4';
    await b.open({ url: 'x', variant: 'q4', provider: 'auto' });
    if (a.answer !== null) b.follow(a.answer, []);
    await settled();
    b.close();
    expect([closed(), b.variant, b.linked, b.model, b.comparison]).toEqual([
      1,
      null,
      null,
      null,
      null,
    ]);
    expect(b.stage).toEqual({ kind: 'idle' });
  });

  test('a failed run is told, and another opening reads on', async () => {
    const { a, b, client } = await both();
    await b.open({ url: 'x', variant: 'q4', provider: 'auto' });
    client.failNext = new ModelError({ kind: 'run', detail: 'boom' });
    if (a.answer !== null) b.follow(a.answer, []);
    await settled();
    expect(b.stage).toEqual({ kind: 'failed', error: { kind: 'run', detail: 'boom' } });
    await b.open({ url: 'x', variant: 'q8', provider: 'auto' });
    await settled();
    expect(read(b)).toBe('abc');
  });
});

describe('comparisons', () => {
  async function comparing(
    text = 'abc',
    isOfOpen = true,
  ): Promise<{
    session: ModelSession;
    client: LetterClient;
    other: LetterClient;
    compared: ComparedModel;
    comparisons: Comparisons;
    runs: KeptRuns;
    follow: () => Promise<void>;
  }> {
    const { session, client } = await opened(text);
    const other = new LetterClient();
    const compared = new ComparedModel(() => other);
    const runs = new KeptRuns();
    const comparisons = new Comparisons({
      ...{ opening: session.opening, pieces: session.pieces, compared, runs },
      isWithoutFirst: () => false,
      isOfOpen: () => isOfOpen,
      inTurn: (work) => session.answers.inTurn(work),
    });
    const follow = async (): Promise<void> => {
      if (session.answer !== null) comparisons.follow(session.answer);
      await new Promise((resolve) => setTimeout(resolve, 5));
    };
    return { session, client, other, compared, comparisons, runs, follow };
  }
  const kept = (text: string, heads: readonly (readonly [number, number])[]): KeptRun => ({
    ...{ name: 'kept', variant: 'q8', text, ids: null, typed: null, withoutFirst: false },
    model: { name: 'm', digest: '', listed: null, address: null, files: null },
    edits: switchingOff(heads).map((edit) => listed(edit)),
  });
  const texts = ({ pair }: Comparisons): (string | undefined)[] =>
    [pair?.a, pair?.b].map((side) => side?.answer.tokens.map(({ label }) => label).join(''));

  test('another text is read without the edits, and leaves the cache as it is', async () => {
    const { session, client, comparisons, follow } = await comparing('abc');
    await session.answers.setInterventions(switchingOff([[1, 0]]));
    comparisons.choose({ kind: 'text', text: 'xbc' });
    await follow();
    expect(texts(comparisons)).toEqual(['abc', 'xbc']);
    expect(comparisons.pair?.aligned.map(({ isSame }) => isSame)).toEqual([false, true, true]);
    expect(comparisons.pair?.patchText).toBe('xbc');
    expect(client.runs.at(-1)).toMatchObject({
      ...{ ids: [23, 1, 2], interventions: [], reuseCache: false, keepCache: false },
    });
    // The same question is not asked again; another text is.
    const before = client.runs.length;
    await follow();
    expect(client.runs).toHaveLength(before);
    comparisons.take({ kind: 'text', text: 'ab' });
    await follow();
    expect(texts(comparisons)).toEqual(['abc', 'ab']);
    expect(comparisons.pair?.aligned.at(-1)).toEqual({ a: 2, b: null, isSame: false });
  });

  test('without the edits it is the same text, and without edits the same run', async () => {
    const { session, client, comparisons, follow } = await comparing('abc');
    comparisons.choose({ kind: 'unedited' });
    const before = client.runs.length;
    await follow();
    expect(comparisons.pair?.b.answer.activations).toBe(session.answer?.activations);
    expect(client.runs).toHaveLength(before);
    await session.answers.setInterventions(switchingOff([[1, 0]]));
    await follow();
    expect(comparisons.pair?.a.answer.interventions).toEqual(switchingOff([[1, 0]]));
    expect(comparisons.pair?.b.answer.interventions).toEqual([]);
    expect(client.runs.at(-1)?.interventions).toEqual([]);
  });

  test('a kept run has its own text and edits; one that is gone is not compared', async () => {
    const { client, comparisons, runs, follow } = await comparing('abc');
    const { id } = runs.keep(kept('abd', [[0, 1]]));
    comparisons.choose({ kind: 'run', id });
    await follow();
    expect(texts(comparisons)).toEqual(['abc', 'abd']);
    expect(client.runs.at(-1)?.interventions).toEqual(switchingOff([[0, 1]]));
    // Its values come from a run with edits: no text gives them again.
    expect(comparisons.pair?.patchText).toBeNull();
    comparisons.choose({ kind: 'variant' });
    expect(comparisons.pair).toBeNull();
    runs.remove(id);
    comparisons.choose({ kind: 'run', id });
    await follow();
    expect(comparisons.pair).toBeNull();
    expect(comparisons.stage).toEqual({ kind: 'idle' });
  });

  test('a kept run of another model waits until that is open, and runs there alone', async () => {
    const { client, other, compared, comparisons, runs, follow } = await comparing('abc', false);
    const { id } = runs.keep(kept('abd', [[0, 1]]));
    comparisons.choose({ kind: 'run', id });
    const before = client.runs.length;
    await follow();
    expect(comparisons.pair).toBeNull();
    await compared.open({ url: 'y', variant: 'q8', provider: 'auto', activations: [] });
    await follow();
    expect(texts(comparisons)).toEqual(['abc', 'abd']);
    expect(other.runs.at(-1)).toMatchObject({
      ids: [0, 1, 3],
      interventions: switchingOff([[0, 1]]),
    });
    expect(client.runs).toHaveLength(before);
  });

  test('a run that fails is told, and the next question is answered', async () => {
    const { client, comparisons, follow } = await comparing('abc');
    comparisons.choose({ kind: 'text', text: 'x' });
    client.failNext = new ModelError({ kind: 'run', detail: 'boom' });
    await follow();
    expect(comparisons.stage).toEqual({ kind: 'failed', error: { kind: 'run', detail: 'boom' } });
    comparisons.take({ kind: 'text', text: 'y' });
    await follow();
    expect(texts(comparisons)).toEqual(['abc', 'y']);
    expect(comparisons.stage).toEqual({ kind: 'idle' });
  });
});

describe('errors', () => {
  test('a failed opening can be tried again', async () => {
    const client = new LetterClient();
    client.failNext = new ModelError({ kind: 'network', url: 'x', offline: false });
    const session = new ModelSession(() => client);
    session.prompt.beginWith({ text: 'ab' }, false);
    await session.opening.open({ url: 'x', provider: 'auto' });
    expect(session.opening.stage).toEqual({
      kind: 'failed',
      error: { kind: 'network', url: 'x', offline: false },
    });
    await session.opening.retry();
    expect(session.opening.stage.kind).toBe('ready');
    expect(rows(session)).toEqual([0, 1]);
  });

  test('a model that is opened again keeps the chosen lens, or says why it can not', async () => {
    const { client, session } = await opened('ab');
    await session.answers.setLens('tuned');
    expect(session.opening.lens).toBe('tuned');
    client.opens = { ...model, lens: 'tuned' };
    await session.opening.retry({ variant: 'q8' });
    expect(client.requests.at(-1)).toMatchObject({ lens: 'tuned', variant: 'q8' });
    expect(session.model?.lens).toBe('tuned');
    // The worker opens the logit lens where the other one's file fails.
    client.opens = model;
    await session.opening.retry({ lens: 'forged' });
    expect(session.model?.lens).toBe('logit');
    expect(session.notices.current).toMatchObject({ kind: 'error', error: { kind: 'unfit-lens' } });
    await session.answers.setLens('tuned');
    await session.answers.setLens('logit');
    expect(session.opening.lens).toBeNull();
    // Another model's lens, as a link may name it.
    session.notices.current = null;
    await session.opening.open({ url: 'y', provider: 'auto', lens: 'prism' });
    expect(session.notices.current).toBeNull();
  });

  test('a worker that may not be made is told, as in a frame that forbids it', async () => {
    let isAllowed = false;
    const client = new LetterClient();
    const session = new ModelSession(() => {
      if (!isAllowed) throw new DOMException('access is denied', 'SecurityError');
      return client;
    });
    session.prompt.beginWith({ text: 'ab' }, false);
    await session.opening.open({ url: 'x', provider: 'auto' });
    expect(session.opening.stage).toMatchObject({ kind: 'failed', error: { kind: 'session' } });
    isAllowed = true;
    await session.opening.retry();
    expect(rows(session)).toEqual([0, 1]);
  });

  test('a failed run leaves the answer before it and says what happened', async () => {
    const { client, session } = await opened('ab');
    client.failNext = new ModelError({ kind: 'run', detail: 'boom' });
    await session.prompt.replace('abc');
    expect(session.notices.current).toEqual({
      kind: 'error',
      error: { kind: 'run', detail: 'boom' },
    });
    expect(rows(session)).toEqual([0, 1]);
    await session.prompt.replace('abcd');
    expect(session.notices.current).toBeNull();
    expect(rows(session)).toEqual([0, 1, 2, 3]);
  });
});

describe('where a model comes from', () => {
  const plainGraph = {
    ...model,
    variant: {
      ...model.variant,
      interactive: { activations: { graph: 'plain', outputs: [], model: shape } },
    },
  } as unknown as OpenedModel;

  test('a plain graph runs with all heads on, whatever a link says', async () => {
    const client = new LetterClient();
    client.open = () => Promise.resolve(plainGraph);
    const session = new ModelSession(() => client);
    session.prompt.beginWith({ text: 'abc' }, false);
    session.answers.interventions = switchingOff([[0, 1]]);
    await session.opening.open({ url: 'x', provider: 'auto' });
    expect(session.answers.interventions).toEqual(noInterventions);
    expect(client.runs.map(({ interventions }) => interventions)).toEqual([noInterventions]);
  });

  test('the visitor’s own files are asked for what suits the device, too', async () => {
    const local = { entry: 'manifest.json', files: new Map<string, File>() };
    const client = new LetterClient();
    const session = new ModelSession(() => client);
    await session.opening.open({ url: 'local:1/m', local, provider: 'wasm' });
    expect(client.surveys).toHaveLength(2);
    for (const request of client.surveys) expect(request.local).toBe(local);
    await session.opening.retry({ provider: 'auto' });
    expect(client.requests.at(-1)?.local).toBe(local);
  });

  test('a model that is refused leaves nothing open and nothing to try again', async () => {
    const { client, session } = await opened('abc');
    session.opening.refuse({ kind: 'origin-refused', origin: 'https://o', allowed: [] });
    expect(session.opening.stage).toMatchObject({
      kind: 'failed',
      error: { kind: 'origin-refused' },
    });
    expect([session.model, session.answer, session.opening.survey]).toEqual([null, null, null]);
    await session.opening.retry();
    expect(client.requests).toHaveLength(1);
  });
});

describe('an example that was computed beforehand', () => {
  const pass: FirstPass = {
    manifest: { ...model.manifest, tokenizer: { tokenizer: 't.json', config: 'c.json' } },
    variant: { ...model.variant, name: 'fp32' },
    prompt: 'dad',
    runtime: 'ONNX Runtime 1.31.0',
    pieces: [0, 3].map((id) => ({ id, bytes: Uint8Array.of(97 + id) })),
    result: {
      ids: [3, 0, 3],
      start: 0,
      lastLogits: new Float32Array(VOCAB),
      tensors: [{ name: 'final_norm', dims: [1, 3, 1], data: Float32Array.of(30, 0, 30) }],
      timings: { runMs: 0 },
    },
  };

  interface Waiting {
    session: ModelSession;
    client: LetterClient;
    arrive: () => void;
    opening: Promise<void>;
  }
  /** Everything but the weights has come. */
  async function waiting(
    prompt: string,
    published: FirstPass | ModelError | null = pass,
    prepare: (session: ModelSession) => void = () => undefined,
  ): Promise<Waiting> {
    const client = new LetterClient();
    client.published = published;
    let arrive = (): void => undefined;
    client.weights = new Promise((resolve) => (arrive = resolve));
    const session = new ModelSession(() => client);
    session.prompt.beginWith({ text: prompt }, false);
    prepare(session);
    const opening = session.opening.open({ url: 'x', provider: 'auto' });
    await new Promise((resolve) => setTimeout(resolve));
    return { session, client, arrive, opening };
  }

  test('is shown as such until the model itself answers', async () => {
    const { session, arrive, opening } = await waiting('dad');
    expect(session.opening.stage.kind).toBe('opening');
    expect(session.shown?.live).toBe(false);
    expect(session.shown?.model.variant.name).toBe('fp32');
    const answer = session.shown?.answer;
    expect(answer?.tokens.map((token) => token.label).join('')).toBe('dad');
    expect(answer?.activations.get('final_norm')?.row(2)).toEqual(Float32Array.of(30));
    // Nothing of it counts as the model's own.
    expect(session.answer).toBeNull();
    arrive();
    await opening;
    expect(session.shown?.live).toBe(true);
    expect(session.example).toBeNull();
    expect(rows(session)).toEqual([3, 0, 3]);
  });

  test('never stands beside another text, and a text typed meanwhile is run', async () => {
    const { session, client, arrive, opening } = await waiting('dad');
    await session.prompt.replace('abc');
    expect(session.shown).toBeNull();
    await session.prompt.replace('dad');
    expect(session.shown?.live).toBe(false);
    await session.prompt.replace('abcd');
    arrive();
    await opening;
    expect(client.runs.map((run) => run.ids)).toEqual([[0, 1, 2, 3]]);
    expect(rows(session)).toEqual([0, 1, 2, 3]);
  });

  test('is the text of a page that was opened without one', async () => {
    const { session, arrive, opening } = await waiting('something else');
    expect(session.prompt.text).toBe('dad');
    arrive();
    await opening;
    expect(session.answer?.tokens.map((token) => token.label).join('')).toBe('dad');
  });

  test('leaves a text that came with the address alone', async () => {
    const { session, arrive, opening } = await waiting('abc', pass, (session) => {
      session.prompt.isOwn = true;
    });
    expect(session.shown).toBeNull();
    arrive();
    await opening;
    expect(session.prompt.text).toBe('abc');
    expect(rows(session)).toEqual([0, 1, 2]);
  });

  test('is not shown where heads are off: its numbers are of the whole model', async () => {
    const { session } = await waiting('dad', pass, (session) => {
      session.answers.interventions = switchingOff([[0, 1]]);
    });
    expect(session.shown).toBeNull();
  });

  test('goes when the model cannot be opened', async () => {
    const { session, client, arrive, opening } = await waiting('dad');
    client.failNext = new ModelError({ kind: 'network', url: 'x', offline: false });
    arrive();
    await opening;
    expect(session.opening.stage.kind).toBe('failed');
    expect(session.shown).toBeNull();
  });

  test('that is damaged keeps nothing from opening', async () => {
    const damage = new ModelError({ kind: 'integrity', path: 'p', expected: 'a', got: 'b' });
    const { session, arrive, opening } = await waiting('dad', damage);
    expect(session.shown).toBeNull();
    expect(session.published.failed).toBe(true);
    arrive();
    await opening;
    expect(session.shown?.live).toBe(true);
  });

  test('of a model that was left is dropped', async () => {
    const { session } = await waiting('dad');
    const other = session.opening.open({ url: 'y', provider: 'auto' });
    expect(session.shown).toBeNull();
    session.opening.abort();
    void other;
  });
});

describe('the text edited in the middle', () => {
  test('has another token, with what stands behind it or without, and can be brought back', async () => {
    const { client, session } = await opened('abcd');
    await session.prompt.replaceToken(1, 5, true);
    expect(session.prompt.text).toBe('afcd');
    expect(client.runs.at(-1)).toMatchObject({ ids: [0, 5, 2, 3], reuseCache: true });
    expect(session.answer?.tokens.map(({ generated }) => generated)).toEqual(Array(4).fill(false));
    await session.prompt.replaceToken(2, 9, false);
    expect(session.prompt.text).toBe('afj');
    expect(session.answer?.tokens.map(({ generated }) => generated)).toEqual([false, false, true]);
    expect(rows(session)).toEqual([0, 5, 9]);
    await session.prompt.undo();
    await session.prompt.undo();
    expect(session.prompt.text).toBe('abcd');
    // No such place.
    await session.prompt.replaceToken(4, 5, true);
    expect(session.prompt.text).toBe('abcd');
  });

  test('takes a path as one step of undo, and none that does not fit', async () => {
    const { session } = await opened('ab');
    await session.prompt.extend([7, 8, 9]);
    expect(session.prompt.text).toBe('abhij');
    await session.prompt.undo();
    expect(session.prompt.text).toBe('ab');
    await session.prompt.extend(Array.from({ length: CONTEXT - 1 }, () => 1));
    expect(session.prompt.text).toBe('ab');
  });

  test('is drawn alike by the same seed, behind the same text alone', async () => {
    const { session } = await opened('ab');
    const settings = { temperature: 2, topK: 0, topP: 1, minP: 0, seed: 3 };
    const drawn: string[] = [];
    for (let round = 0; round < 2; round++) {
      for (let step = 0; step < 4; step++) await session.generation.step(settings);
      drawn.push(session.prompt.text);
      await session.prompt.replace('ab');
    }
    expect(drawn[1]).toBe(drawn[0]);
    expect(drawn[0]).toHaveLength(6);
    for (let step = 0; step < 4; step++) await session.generation.step({ ...settings, seed: 4 });
    expect(session.prompt.text).not.toBe(drawn[0]);
  });
});

/** Wait until nothing is under way any more. */
async function settled(stage: () => { readonly kind: string }): Promise<void> {
  await expect.poll(() => stage().kind).toBe('ready');
}

describe('analyses of the prediction', () => {
  test('read a text once, and then only what is new of it', async () => {
    const { client, session } = await opened('abc');
    const follow = async (): Promise<void> => {
      if (session.answer !== null) session.steps.follow(session.answer);
      await settled(() => session.steps.stage);
    };
    session.steps.open();
    await follow();
    expect(client.asked.map(({ ids, from }) => [ids, from])).toEqual([[[0, 1, 2], 1]]);
    await session.generation.step(GREEDY);
    await follow();
    // The last answer's own logits predict it.
    expect(client.asked).toHaveLength(1);
    expect(session.steps.found?.steps.at(-1)).toMatchObject({ position: 3, id: 3, rank: 0 });
    await session.prompt.replaceToken(2, 9, true);
    await follow();
    expect(client.asked.at(-1)).toMatchObject({ ids: [0, 1, 9, 3], from: 2 });
    await session.answers.setInterventions(switchingOff([[0, 1]]));
    await follow();
    expect(client.asked.at(-1)).toMatchObject({ ids: [0, 1, 9, 3], from: 1 });
  });

  test('search paths behind the cached text, leave its cache, and end when they are closed', async () => {
    const { client, session } = await opened('ab');
    session.trees.resize({ depth: 3, width: 2 });
    session.trees.link({ depth: 3, width: 2 });
    expect(session.trees.shared).toEqual({ depth: 3, width: 2 });
    const before = client.runs.length;
    if (session.answer !== null) session.trees.follow(session.answer);
    await settled(() => session.trees.stage);
    const runs = client.runs.slice(before);
    expect(runs.length).toBe(4);
    for (const run of runs)
      expect(run).toMatchObject({ reuseCache: true, keepCache: false, activations: [] });
    expect(runs.every(({ ids }) => ids[0] === 0 && ids[1] === 1 && ids.length > 2)).toBe(true);
    expect(client.cached).toEqual([0, 1]);
    const { nodes = [], best = [] } = session.trees.found ?? {};
    // Each letter is followed by the next.
    expect(best.map((index) => nodes[index]?.token)[0]).toBe(4);
    await session.prompt.replace('abc');
    const afterText = client.runs.length;
    if (session.answer !== null) session.trees.follow(session.answer);
    session.trees.close();
    await session.answers.inTurn(() => Promise.resolve());
    expect(client.runs.length).toBe(afterText);
    expect(session.trees.found).toBeNull();
    expect(session.trees.shared).toBeNull();
  });
});
