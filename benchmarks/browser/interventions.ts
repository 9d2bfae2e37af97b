// Times edits and analyses in the page's engine as the page waits for them, alternating with runs of other graphs.
import { createModelClient } from '../../apps/web/src/inference/model_client';
import type { ModelClient } from '../../apps/web/src/inference/client_interface';
import type { RunRequest } from '../../apps/web/src/inference/model_types';

export interface Plan {
  readonly rounds: number;
  readonly tokens: number;
  /** Addresses of the open graph's bundle, of its decoder graph alone, and of the bundled model. */
  readonly open: string;
  readonly decoder: string;
  readonly demo: string;
}

/** Milliseconds of each case, one number for each round. */
export type Times = Record<string, number[]>;

declare global {
  // Only `var` declares a property of globalThis.
  var measureInterventions: (plan: Plan) => Promise<Times>;
}

const sweepRounds = 5;

async function opened(url: string, variant?: string): Promise<ModelClient> {
  const client = createModelClient();
  const request = { url, provider: 'wasm', activations: [] } as const;
  await client.open({ ...request, ...(variant !== undefined && { variant }) }, () => undefined);
  return client;
}

async function timed(run: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await run();
  return performance.now() - began;
}

globalThis.measureInterventions = async ({ rounds, tokens, open, decoder, demo }) => {
  const ids = Array.from({ length: tokens }, (_, at) => (at * 7919 + 13) % 50257);
  const plain: RunRequest = { ids, reuseCache: false, keepCache: false };
  const off: RunRequest = {
    ...plain,
    interventions: [{ edit: 'scale', joint: 'attn_z', layer: 5, head: 2 }],
  };
  const attributed = { ...plain, attribution: { answer: 7 } };
  const times: Times = {};
  const cases: [string, ModelClient, RunRequest][] = [];
  // Each has its own session, so that none has the closings or taps of another.
  for (const [name, url, request] of [
    ['decoder graph', decoder, plain],
    ['open graph, no edit', open, plain],
    ['one head switched off', open, off],
    ['attribution of a token', open, attributed],
  ] as const) {
    const client = await opened(url, url === open ? 'fp32' : undefined);
    const result = await client.run(request);
    await client.run(request);
    // A bundle without taps has nothing to time.
    if (request === attributed && !('attribution' in result)) client.close();
    else cases.push([name, client, request]);
  }
  for (let round = 0; round < rounds; round++)
    for (const [name, client, request] of cases) {
      // The previous model's weights are still in the processor's cache.
      await client.run(request);
      (times[name] ??= []).push(await timed(() => client.run(request)));
    }
  for (const [, client] of cases) client.close();
  times['patching sweep, 240 runs'] = await sweepTimes(await opened(demo));
  return times;
};

async function sweepTimes(client: ModelClient): Promise<number[]> {
  const [clean, corrupted] = [3, 11].map((step) =>
    Array.from({ length: 20 }, (_, at) => (at * step * 101 + 17) % 4096),
  );
  if (clean === undefined || corrupted === undefined) throw new Error('two texts');
  const metric = { metric: 'logit-difference', answer: 5, other: 6 } as const;
  const sweep = (): Promise<unknown> =>
    client.sweep({ clean, corrupted, metric, places: { over: 'positions' } });
  const first = await timed(sweep);
  console.log(`the first sweep, with the session that it makes: ${first.toFixed(0)} ms`);
  const found: number[] = [];
  for (let round = 0; round < sweepRounds; round++) found.push(await timed(sweep));
  client.close();
  return found;
}
