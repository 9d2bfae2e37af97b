// The session with a client whose numbers tell what was fed: newest text wins, rows join, interventions compare.
import { describe, expect, test } from 'vitest';
import { ModelSession } from '../../apps/web/src/activations/model_session.svelte';
import { ModelError } from '../../apps/web/src/inference/model_error';
import type {
  ModelClient,
  OpenedModel,
  RunRequest,
  RunResult,
  TokenPiece,
} from '../../apps/web/src/inference/model_types';

const VOCAB = 32;
const CONTEXT = 12;

/** One token per letter; the logits point at the letter after the last, lower where heads are off. */
class LetterClient implements ModelClient {
  readonly runs: RunRequest[] = [];
  cached: readonly number[] = [];
  cachedOff = '[]';
  failNext: ModelError | null = null;
  opens = 0;

  open(): Promise<OpenedModel> {
    this.opens++;
    if (this.failNext !== null) return Promise.reject(this.takeFailure());
    return Promise.resolve(model);
  }
  setActivations(names: readonly string[]): Promise<OpenedModel> {
    this.cached = [];
    return Promise.resolve({ ...model, activations: names });
  }
  encode(text: string): Promise<TokenPiece[]> {
    return this.pieces(Array.from(text, (letter) => letter.charCodeAt(0) - 97));
  }
  pieces(ids: readonly number[]): Promise<TokenPiece[]> {
    return Promise.resolve(ids.map((id) => ({ id, bytes: Uint8Array.of(97 + id) })));
  }
  run(request: RunRequest): Promise<RunResult> {
    this.runs.push(request);
    if (this.failNext !== null) return Promise.reject(this.takeFailure());
    const { ids } = request;
    const off = JSON.stringify(request.interventions?.headsOff ?? []);
    let start = 0;
    if (request.reuseCache && off === this.cachedOff)
      while (start < ids.length - 1 && ids[start] === this.cached[start]) start++;
    this.cached = ids;
    this.cachedOff = off;
    const lastLogits = new Float32Array(VOCAB);
    lastLogits[((ids.at(-1) ?? 0) + 1) % VOCAB] = off === '[]' ? 9 : 3;
    const fed = ids.slice(start);
    return Promise.resolve({
      ids,
      start,
      lastLogits,
      tensors: [{ name: 'final_norm', dims: [1, fed.length, 1], data: Float32Array.from(fed) }],
      timings: { runMs: 1 },
    });
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

const model = {
  manifest: {
    model: { shape: { layers: 2, heads: 2, vocab: VOCAB, context_length: CONTEXT } },
  },
  variant: {},
  facts: {},
  activations: ['logits', 'final_norm'],
  hasTokenizer: true,
  timings: { downloadMs: 0, sessionMs: 0, downloadedBytes: 0 },
  // Only what the session reads.
} as unknown as OpenedModel;

async function opened(prompt: string): Promise<{ client: LetterClient; session: ModelSession }> {
  const client = new LetterClient();
  const session = new ModelSession(
    () => client,
    () => 0.5,
  );
  session.prompt = prompt;
  await session.open({ url: 'x', provider: 'auto' });
  return { client, session };
}

function rows(session: ModelSession): number[] {
  const answer = session.answer;
  const series = answer?.activations.get('final_norm');
  return answer?.tokens.map((token) => series?.row(token.position)[0] ?? NaN) ?? [];
}

const GREEDY = { temperature: 0, topK: 0, topP: 1 };

describe('text', () => {
  test('opening answers for the prompt that stands there', async () => {
    const { session } = await opened('abc');
    expect(session.stage.kind).toBe('ready');
    expect(session.answer?.tokens.map((token) => token.label).join('')).toBe('abc');
    expect(rows(session)).toEqual([0, 1, 2]);
  });

  test('of texts that follow each other quickly the last one stands', async () => {
    const { session } = await opened('a');
    await Promise.all([
      session.replacePrompt('abcd'),
      session.replacePrompt('xy'),
      session.replacePrompt('hello'),
    ]);
    expect(session.answer?.tokens.map((token) => token.label).join('')).toBe('hello');
    expect(rows(session)).toEqual([7, 4, 11, 11, 14]);
  });

  test('beyond the context the first tokens are read and a notice says so', async () => {
    const { session } = await opened('a'.repeat(15));
    expect(session.notice).toEqual({ kind: 'too-long', tokens: 15, limit: CONTEXT });
    expect(session.answer?.tokens).toHaveLength(CONTEXT);
    await session.replacePrompt('ab');
    expect(session.notice).toBeNull();
  });

  test('no text, no answer', async () => {
    const { session } = await opened('ab');
    await session.replacePrompt('');
    expect(session.answer).toBeNull();
  });
});

describe('steps', () => {
  test('feed one token each and join on', async () => {
    const { client, session } = await opened('ab');
    await session.step(GREEDY);
    await session.step(GREEDY);
    expect(session.prompt).toBe('abcd');
    expect(rows(session)).toEqual([0, 1, 2, 3]);
    expect(session.answer?.tokens.map((token) => token.generated)).toEqual([
      false,
      false,
      true,
      true,
    ]);
    expect(client.runs.every((run) => run.reuseCache)).toBe(true);
    expect(session.times.step?.total).toBe(4);
    await session.removeLast();
    expect(session.prompt).toBe('abc');
    expect(rows(session)).toEqual([0, 1, 2]);
  });

  test('play stops at the end of the context', async () => {
    const { session } = await opened('abcdefghij');
    await session.play(() => GREEDY);
    expect(session.answer?.tokens).toHaveLength(CONTEXT);
    expect(session.generationEnd).toEqual({ reason: 'context-full' });
    expect(session.generating).toBe(false);
  });

  test('a tap opened meanwhile does not end it', async () => {
    const { client, session } = await opened('abcdefg');
    const playing = session.play(() => GREEDY);
    await session.setActivations(['final_norm', 'embedding_sum']);
    expect(session.generating).toBe(true);
    await playing;
    expect(rows(session)).toEqual(Array.from({ length: CONTEXT }, (_, id) => id));
    expect(session.model?.activations).toContain('embedding_sum');
    expect(client.cached).toHaveLength(CONTEXT);
  });

  test('stop stops', async () => {
    const { session } = await opened('a');
    const playing = session.play(() => GREEDY);
    await new Promise((resolve) => setTimeout(resolve, 60));
    session.stop();
    await playing;
    expect(session.answer?.tokens.length).toBeLessThan(CONTEXT);
  });

  test('a cache that holds other rows than ours leads to a whole run', async () => {
    const { client, session } = await opened('abc');
    // As if the engine knew more than any answer has brought.
    client.cached = [3, 4, 5, 6];
    await session.replacePrompt('defgh');
    expect(client.runs.at(-1)?.reuseCache).toBe(false);
    expect(rows(session)).toEqual([3, 4, 5, 6, 7]);
  });
});

describe('interventions', () => {
  test('bring the untouched prediction along, computed once', async () => {
    const { client, session } = await opened('abc');
    await session.setHeadsOff([[1, 0]]);
    expect(session.answer?.headsOff).toEqual([[1, 0]]);
    expect(session.answer?.untouchedLogits?.[3]).toBe(9);
    expect(session.answer?.activations.lastLogits[3]).toBe(3);
    expect(client.runs).toHaveLength(2);
    await session.replacePrompt('abcd');
    expect(session.answer?.untouchedLogits?.[4]).toBe(9);
    await session.setHeadsOff([]);
    expect(session.answer?.untouchedLogits).toBeNull();
    expect(session.answer?.activations.lastLogits[4]).toBe(9);
  });
});

describe('errors', () => {
  test('a failed opening can be tried again', async () => {
    const client = new LetterClient();
    client.failNext = new ModelError({ kind: 'network', url: 'x' });
    const session = new ModelSession(() => client);
    session.prompt = 'ab';
    await session.open({ url: 'x', provider: 'auto' });
    expect(session.stage).toEqual({ kind: 'failed', error: { kind: 'network', url: 'x' } });
    await session.retry();
    expect(session.stage.kind).toBe('ready');
    expect(rows(session)).toEqual([0, 1]);
  });

  test('a failed run leaves the answer before it and says what happened', async () => {
    const { client, session } = await opened('ab');
    client.failNext = new ModelError({ kind: 'run', detail: 'boom' });
    await session.replacePrompt('abc');
    expect(session.notice).toEqual({ kind: 'error', error: { kind: 'run', detail: 'boom' } });
    expect(rows(session)).toEqual([0, 1]);
    await session.replacePrompt('abcd');
    expect(session.notice).toBeNull();
    expect(rows(session)).toEqual([0, 1, 2, 3]);
  });
});
