// Runs of one model: one at a time, one for many requests, and rows that join only where they belong together.
import { expect, test } from 'vitest';
import { noInterventions, switchingOff } from '../../apps/web/src/inference/interventions';
import type { ModelClient } from '../../apps/web/src/inference/client_interface';
import type { RunRequest, RunResult } from '../../apps/web/src/inference/model_types';
import { Runs } from '../../apps/web/src/session/runs.svelte';

/** Give the rows of the tokens from `start` on, each row its token's id; `arrive` lets the run end. */
function clientFrom(starts: number[], arrive: Promise<void> = Promise.resolve()) {
  const requests: RunRequest[] = [];
  const run = async (request: RunRequest): Promise<RunResult> => {
    requests.push(request);
    const start = request.reuseCache ? (starts.shift() ?? 0) : 0;
    await arrive;
    const { ids } = request;
    const fed = Float32Array.from(ids.slice(start));
    const tensors = [{ name: 'final_norm', dims: [1, fed.length, 1], data: fed }];
    return { ids, start, lastLogits: new Float32Array(1), tensors, timings: { runMs: 1 } };
  };
  // Only what runs use.
  return { requests, client: { run } as unknown as ModelClient };
}

function gate(): { promise: Promise<void>; open: () => void } {
  let open = (): void => undefined;
  const promise = new Promise<void>((resolve) => (open = resolve));
  return { promise, open };
}

const nothing = (): Promise<void> => Promise.resolve();

test('requests during a run are answered by one more run, and whoever asked waits for it', async () => {
  const first = gate();
  let answers = 0;
  const runs = new Runs(async () => {
    answers++;
    await first.promise;
  }, true);
  const all = [runs.request()];
  await Promise.resolve();
  expect([answers, runs.busy]).toEqual([1, true]);
  all.push(runs.request(), runs.request(), runs.request());
  first.open();
  await Promise.all(all);
  expect([answers, runs.busy]).toEqual([2, false]);
});

test('work never overlaps, keeps its order, and a failure stops nothing behind it', async () => {
  const runs = new Runs(nothing, true);
  const steps: string[] = [];
  const work = (name: string) => async (): Promise<string> => {
    steps.push(`${name} begins`);
    await new Promise((resolve) => setTimeout(resolve));
    steps.push(`${name} ends`);
    if (name === 'b') throw new Error('b');
    return name;
  };
  const settled = await Promise.allSettled(['a', 'b', 'c'].map((name) => runs.enqueue(work(name))));
  expect(settled.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
  expect(steps).toEqual(['a', 'b', 'c'].flatMap((name) => [`${name} begins`, `${name} ends`]));
  expect(runs.busy).toBe(false);
});

test('rows join to those of the same interventions alone', async () => {
  const runs = new Runs(nothing, true);
  const { client, requests } = clientFrom([0, 2, 0, 2]);
  const off = switchingOff([[0, 1]]);
  const rowsOf = async (ids: number[], interventions = noInterventions): Promise<number[]> => {
    const { activations } = await runs.run(client, ids, interventions);
    const series = activations.get('final_norm');
    return ids.map((_, position) => series?.row(position)[0] ?? NaN);
  };
  expect(await rowsOf([5, 6])).toEqual([5, 6]);
  expect(await rowsOf([5, 6, 7])).toEqual([5, 6, 7]);
  expect(await rowsOf([5, 6], off)).toEqual([5, 6]);
  // The engine's cache knows two tokens of this one, too.
  expect(await rowsOf([5, 6, 8], off)).toEqual([5, 6, 8]);
  expect(requests.every(({ reuseCache }) => reuseCache)).toBe(true);
});

test('a run that was under way when all was cleared fills no cache', async () => {
  const late = gate();
  const runs = new Runs(nothing, true);
  const old = clientFrom([0], late.promise);
  const running = runs.run(old.client, [1, 2], noInterventions);
  runs.clear();
  late.open();
  await running;
  // Another model, whose engine says that it knows the first two tokens.
  const { client, requests } = clientFrom([2]);
  const { activations } = await runs.run(client, [1, 2, 3], noInterventions);
  expect(requests.map(({ reuseCache }) => reuseCache)).toEqual([true, false]);
  expect(activations.get('final_norm')?.length).toBe(3);
});
