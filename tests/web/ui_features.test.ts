// What the view of features asks of the worker and keeps: one download for each dictionary, the newest question's answer,
// a cancelled or failed one; and the edits, the table and the tensors that it makes of a reading.
import { expect, test } from 'vitest';
import { sparseOf } from '../../apps/web/src/analysis/sparse_features';
import type { DictionaryDescription, ModelShape } from '../../apps/web/src/contract/generated';
import { checkEdit } from '../../apps/web/src/inference/check_edits';
import type { FeatureReading, FeaturesRequest } from '../../apps/web/src/inference/feature_reading';
import { ModelError } from '../../apps/web/src/inference/model_error';
import type { Answer } from '../../apps/web/src/session/answer';
import {
  Features,
  questionKey,
  type FeatureQuestion,
} from '../../apps/web/src/session/features.svelte';
import type { Opening } from '../../apps/web/src/session/opening.svelte';
import type { Token } from '../../apps/web/src/session/token';
import { TokenPieces } from '../../apps/web/src/session/token_pieces';
import { featureRows, featureTensors } from '../../apps/web/src/views/features/feature_data';
import {
  addedFeature,
  canClamp,
  clampedFeature,
} from '../../apps/web/src/views/features/feature_edits';

/** Two tokens, three features. */
const reading: FeatureReading = {
  features: sparseOf(Float32Array.of(0, 2, 1, 0, 0, 4), 2),
  explained: { tokens: Float32Array.of(0.5, 0.75), text: 0.625 },
  chosen: {
    ...{ feature: 2, encoder: Float32Array.of(1, 2), decoder: Float32Array.of(3, 4) },
    ...{ bias: 0.25, threshold: 0.5, logitEffects: Float32Array.of(0, 3, -2) },
  },
  raised: new Map([[2, [1, 0]]]),
};
const question: FeatureQuestion = {
  ...{ dictionary: 'a', position: 1, feature: null, effects: true, listed: 12 },
};
const tokens = [0, 1].map((position) => ({ position, id: position }) as Token);
// Only what is read of it.
const answer = {
  tokens,
  interventions: [],
  activations: { ids: [5, 6] },
} as unknown as Answer;

class Worker {
  readonly opened: string[] = [];
  readonly aborted: string[] = [];
  readonly requests: FeaturesRequest[] = [];
  failure: ModelError | null = null;
  /** Resolves the download that waits. */
  arrive: (() => void) | null = null;
  waits = false;

  async openDictionary(
    name: string,
    onProgress: (done: number, of: number) => void,
    signal: AbortSignal,
  ): Promise<void> {
    this.opened.push(name);
    onProgress(3, 10);
    if (this.waits)
      await new Promise<void>((resolve, reject) => {
        this.arrive = resolve;
        signal.addEventListener('abort', () => {
          this.aborted.push(name);
          reject(new ModelError({ kind: 'aborted' }));
        });
      });
    if (this.failure !== null) throw this.failure;
  }
  readFeatures(request: FeaturesRequest): Promise<FeatureReading> {
    this.requests.push(request);
    return Promise.resolve(reading);
  }
}

function session(): { worker: Worker; features: Features } {
  const worker = new Worker();
  const opening = { client: worker, model: { hasTokenizer: false } } as unknown as Opening;
  return { worker, features: new Features(opening, new TokenPieces()) };
}

test('a dictionary is downloaded once, and each question answered once', async () => {
  const { worker, features } = session();
  await features.follow(answer, question);
  expect(features.stage).toEqual({ kind: 'idle' });
  expect(features.found).toMatchObject({ question, chosen: { feature: 2, up: [1, 0, 2] } });
  await features.follow(answer, { ...question });
  await features.follow(answer, { ...question, position: 0 });
  expect(worker.opened).toEqual(['a']);
  expect(worker.requests.map(({ ids, position }) => [ids, position])).toEqual([
    [[5, 6], 1],
    [[5, 6], 0],
  ]);
  await features.follow(answer, { ...question, dictionary: 'b' });
  expect(worker.opened).toEqual(['a', 'b']);
  features.clear();
  expect(features.found).toBeNull();
  await features.follow(answer, question);
  expect(worker.opened).toEqual(['a', 'b', 'a']);
});

test('a download tells its bytes and can be cancelled; the same question is then asked again', async () => {
  const { worker, features } = session();
  worker.waits = true;
  const following = features.follow(answer, question);
  expect(features.stage).toEqual({ kind: 'loading', done: 3, of: 10 });
  features.cancel();
  await following;
  expect(features.stage).toEqual({ kind: 'cancelled' });
  expect(worker.requests).toEqual([]);
  worker.waits = false;
  await features.follow(answer, question);
  expect(features.found).toBeNull();
  features.forget();
  await features.follow(answer, question);
  expect(features.found).not.toBeNull();
});

test('what was read is told by the question and not by its object', async () => {
  const { features } = session();
  await features.follow(answer, question);
  const again = { ...question };
  await features.follow(answer, again);
  expect(features.found?.asked).toBe(questionKey(answer, again));
  expect(features.found?.asked).not.toBe(questionKey(answer, { ...question, feature: 1 }));
  const longer = { ...answer, activations: { ids: [5, 6, 7] } } as unknown as Answer;
  expect(features.found?.asked).not.toBe(questionKey(longer, question));
});

test('a new question about the same dictionary waits for the download that is under way', async () => {
  const { worker, features } = session();
  worker.waits = true;
  const older = features.follow(answer, question);
  const newer = features.follow(answer, { ...question, position: 0 });
  expect(features.stage).toEqual({ kind: 'loading', done: 3, of: 10 });
  worker.arrive?.();
  await Promise.all([older, newer]);
  expect(worker.opened).toEqual(['a']);
  expect(worker.aborted).toEqual([]);
  expect(worker.requests.map(({ position }) => position)).toEqual([0]);
  expect(features.stage).toEqual({ kind: 'idle' });
});

test('a download ends where the reader turns to another dictionary, and what was cancelled is forgotten', async () => {
  const { worker, features } = session();
  worker.waits = true;
  const following = features.follow(answer, question);
  features.turnTo('a');
  expect(worker.aborted).toEqual([]);
  features.turnTo('b');
  await following;
  expect(worker.aborted).toEqual(['a']);
  expect(features.stage).toEqual({ kind: 'idle' });
  const next = features.follow(answer, { ...question, dictionary: 'b' });
  features.cancel();
  await next;
  expect(worker.aborted).toEqual(['a', 'b']);
  features.turnTo('b');
  expect(features.stage).toEqual({ kind: 'cancelled' });
  features.turnTo('a');
  expect(features.stage).toEqual({ kind: 'idle' });
  features.clear();
});

test('the newest question counts, and a refused dictionary is told', async () => {
  const { worker, features } = session();
  worker.waits = true;
  const older = features.follow(answer, question);
  worker.waits = false;
  await features.follow(answer, { ...question, dictionary: 'b' });
  await older;
  expect(features.found?.question.dictionary).toBe('b');
  worker.failure = new ModelError({ kind: 'unknown-dictionary', got: 'c', known: ['a', 'b'] });
  await features.follow(answer, { ...question, dictionary: 'c' });
  expect(features.stage).toMatchObject({ kind: 'failed', error: { kind: 'unknown-dictionary' } });
});

test('a table has a row for each feature above 0, and tensors the numbers of each token', async () => {
  const { features } = session();
  await features.follow(answer, question);
  const { found } = features;
  if (found === null) throw new Error('nothing was read');
  expect(featureRows(found)).toEqual([
    ['position', 'feature', 'value'],
    [0, 1, 2],
    [0, 2, 1],
    [1, 2, 4],
  ]);
  const named = featureTensors(found).map(({ name, shape, data }) => [name, shape, [...data]]);
  expect(named).toEqual([
    ['features_a_explained_variance', [2], [0.5, 0.75]],
    ['features_a_count', [2], [2, 1]],
    ['features_a_2', [2], [1, 4]],
    ['features_a_2_logits_at_1', [3], [0, 3, -2]],
  ]);
});

const shape: ModelShape = {
  ...{ layers: 1, heads: 2, kv_heads: 2, head_dim: 2, hidden: 4, intermediate: 8, vocab: 3 },
  ...{ context_length: 16, parallel_residual: false },
};
const numbers = {
  ...{ encoder: Float32Array.of(1, 2, 3, 4), decoder: Float32Array.of(5, 6, 7, 8) },
  ...{ bias: -0.5, threshold: 0.25 },
};
function sae(kind: 'mlp_output' | 'attn_z'): DictionaryDescription {
  const place = { kind, layer: 0 };
  return {
    ...({ kind: 'sae', weights: '', reads: place, writes: place, features: 3 } as const),
    ...({ activation: 'jumprelu', source: '' } as const),
  };
}

test.each(['mlp_output', 'attn_z'] as const)('edits of a feature fit %s', (kind) => {
  const said = sae(kind);
  const added = addedFeature(said, numbers, 3, null, shape);
  expect(added).toMatchObject({ edit: 'add', joint: kind, layer: 0, strength: 3 });
  expect(added).not.toHaveProperty('position');
  const clamped = clampedFeature(said, numbers, 2, 1);
  expect(clamped).toEqual({
    ...{ edit: 'clamp', joint: kind, layer: 0, position: 1, value: 2 },
    ...{ encoder: numbers.encoder, direction: numbers.decoder, bias: -0.5, threshold: 0.25 },
  });
  for (const edit of [added, clamped]) expect(() => checkEdit(edit, shape)).not.toThrow();
  const wide = { ...numbers, decoder: new Float32Array(6), encoder: new Float32Array(6) };
  expect(() => checkEdit(clampedFeature(said, wide, 2, 1), shape)).toThrow();
});

test('only a feature whose value is known where it is written can be set', () => {
  expect(canClamp(sae('attn_z'))).toBe(true);
  expect(canClamp({ ...sae('attn_z'), activation: 'relu' })).toBe(true);
  expect(canClamp({ ...sae('attn_z'), activation: 'topk', k: 2 })).toBe(false);
  const coder = { ...sae('attn_z'), kind: 'transcoder' } as const;
  expect(canClamp({ ...coder, writes: { kind: 'attn_z', layer: 1 } })).toBe(false);
  expect(canClamp({ ...coder, writes: { kind: 'mlp_output', layer: 0 } })).toBe(false);
});
