// The page's side of its workers, with workers that the tests answer for: sessions beside the open one, and who is told.
import { beforeEach, expect, test, vi } from 'vitest';
import type { ModelClient, PreparedSession } from '../../apps/web/src/inference/client_interface';
import type { OpenedModel } from '../../apps/web/src/inference/model_types';
import type { WorkerPort } from '../../apps/web/src/inference/model_client';
import { ModelError } from '../../apps/web/src/inference/model_error';
import type { WorkerAnswer, WorkerCall } from '../../apps/web/src/inference/worker_messages';

/** A worker that keeps what it is asked until the test answers. */
class AskedWorker extends EventTarget implements WorkerPort {
  readonly calls: WorkerCall[] = [];
  isEnded = false;

  postMessage(call: WorkerCall): void {
    this.calls.push(call);
  }

  terminate(): void {
    this.isEnded = true;
  }

  /** Answer the newest call of a method. */
  answer(method: WorkerCall['method'], result: unknown): void {
    const { call } = this.calls.findLast((each) => each.method === method) ?? { call: -1 };
    const data = { call, kind: 'result', result } as WorkerAnswer;
    this.dispatchEvent(new MessageEvent('message', { data }));
  }

  breakDown(): void {
    this.dispatchEvent(new Event('error', { cancelable: true }));
  }
}

const model = {
  manifest: { files: [] },
  variant: { name: 'fp32' },
  facts: { provider: 'wasm' },
  lens: 'logit',
  // Only what the client reads.
} as unknown as OpenedModel;

const pieces = [{ id: 1, bytes: Uint8Array.of(97) }];

let workers: AskedWorker[] = [];

beforeEach(() => {
  workers = [];
  // The client reads them as its file is loaded.
  vi.stubGlobal('self', globalThis);
  vi.stubGlobal('document', { baseURI: 'http://localhost/' });
});

function worker(index: number): AskedWorker {
  const found = workers[index];
  if (found === undefined) throw new Error(`no worker ${index}`);
  return found;
}

/** Let promises settle. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

async function openedClient(opened = model): Promise<ModelClient> {
  const { WorkerModelClient } = await import('../../apps/web/src/inference/model_client');
  const start = (): AskedWorker => {
    const worker = new AskedWorker();
    workers.push(worker);
    return worker;
  };
  const client = new WorkerModelClient(start, { several: false });
  const opening = client.open({ url: 'm.json', provider: 'wasm' }, () => undefined);
  worker(0).answer('open', opened);
  await opening;
  return client;
}

async function prepared(client: ModelClient, signal: AbortSignal): Promise<PreparedSession> {
  const preparing = client.prepare({ activations: ['final_norm'], interventions: [] }, signal);
  workers.at(-1)?.answer('open', model);
  return preparing;
}

test('a session in use outlives the signal that would have cancelled its making', async () => {
  const client = await openedClient();
  const stop = new AbortController();
  await (await prepared(client, stop.signal)).use();
  expect(worker(0).isEnded).toBe(true);
  stop.abort();
  expect(worker(1).isEnded).toBe(false);
  const asked = client.encode('a');
  worker(1).answer('encode', pieces);
  expect(await asked).toEqual(pieces);
});

test('it takes the place of a worker that broke down before it had answered', async () => {
  const client = await openedClient();
  const session = await prepared(client, new AbortController().signal);
  const asked = client.encode('a').catch((error: unknown) => error);
  const using = session.use();
  await turn();
  expect(worker(0).isEnded, 'an answer is awaited').toBe(false);
  worker(0).breakDown();
  expect(await asked).toBeInstanceOf(ModelError);
  await using;
  const again = client.encode('a');
  worker(1).answer('encode', pieces);
  expect(await again).toEqual(pieces);
});

test('of two that wait for an answer, none waits forever', async () => {
  const client = await openedClient();
  const first = await prepared(client, new AbortController().signal);
  const second = await prepared(client, new AbortController().signal);
  const asked = client.encode('a');
  const using = [first.use(), second.use()];
  await turn();
  worker(0).answer('encode', pieces);
  await Promise.all([asked, ...using]);
  expect(workers.map(({ isEnded }) => isEnded)).toEqual([true, true, false]);
});

test('one that is cancelled while it waits says so at once', async () => {
  const client = await openedClient();
  const stop = new AbortController();
  const session = await prepared(client, stop.signal);
  const asked = client.encode('a');
  const using = session.use().catch((error: unknown) => error);
  await turn();
  stop.abort();
  expect(await using).toMatchObject({ data: { kind: 'aborted' } });
  expect(workers.map(({ isEnded }) => isEnded)).toEqual([false, true]);
  worker(0).answer('encode', pieces);
  expect(await asked).toEqual(pieces);
});

/** A stored model with a reference pass, on a device of so many GiB; its session takes 1 GiB. */
function provable(memoryGiB: number, provider: 'wasm' | 'webgpu' = 'wasm'): OpenedModel {
  const shape = { layers: 1, heads: 1, hidden: 1, vocab: 4, context_length: 8 };
  const file = { path: 'w', bytes: 2 ** 20, digest: 'sha256:0' };
  const variant = {
    ...{ name: 'fp32', weights: ['w'], taps: [], reference_pass: {} },
    plain: { path: 'g', activations: { outputs: [] } },
  };
  return {
    ...{
      manifest: { files: [file], model: { shape } },
      variant,
      facts: { provider },
      lens: 'logit',
    },
    ...{ isKept: true, isBare: false, device: { memoryGiB }, activations: ['logits'] },
    offer: { variants: [{ name: 'fp32', on: { wasm: { memory: 2 ** 30 } } }] },
    // Only what the client reads.
  } as unknown as OpenedModel;
}

const proof = { compared: 9 };

test('a run that is asked for during a proof does not wait for it', async () => {
  const client = await openedClient(provable(8));
  const proving = client.prove();
  const running = client.run({ ids: [1], reuseCache: false });
  expect(worker(0).calls.map(({ method }) => method)).toEqual(['open', 'run']);
  worker(0).answer('run', { lastLogits: new Float32Array(1), tensors: [], ids: [1] });
  expect((await running).ids).toEqual([1]);
  // Every activation of the model, so that the proof needs no other session.
  expect(worker(1).calls[0]?.argument).toMatchObject({ variant: 'fp32', provider: 'wasm' });
  const { activations } = worker(1).calls[0]?.argument as unknown as { activations: string[] };
  expect(activations).toContain('layer_0_attn_probs');
  expect(activations).not.toContain('logits');
  worker(1).answer('open', provable(8));
  await turn();
  expect(worker(1).calls.map(({ method }) => method)).toEqual(['open', 'prove']);
  worker(1).answer('prove', proof);
  expect(await proving).toEqual(proof);
  expect(workers.map(({ isEnded }) => isEnded)).toEqual([false, true]);
});

test.each([
  ['there is memory for one session', provable(1)],
  ['free memory is unknown', provable(8, 'webgpu')],
  ['the weights would have to be fetched again', { ...provable(8), isKept: false }],
])('a proof takes place in the open session where %s', async (_, opened) => {
  const client = await openedClient(opened);
  const proving = client.prove();
  worker(0).answer('prove', proof);
  expect(await proving).toEqual(proof);
  expect(workers.length).toBe(1);
});

test('a proof whose own session can not be made takes place in the open one', async () => {
  const client = await openedClient(provable(8));
  const proving = client.prove();
  worker(1).breakDown();
  await turn();
  worker(0).answer('prove', proof);
  expect(await proving).toEqual(proof);
  expect(workers.map(({ isEnded }) => isEnded)).toEqual([false, true]);
});

test("the reader's own session ends a proof, which would take its memory", async () => {
  const client = await openedClient(provable(8));
  const proving = client.prove().catch((error: unknown) => error);
  const preparing = client.prepare(
    { activations: ['final_norm'], interventions: [] },
    new AbortController().signal,
  );
  expect(await proving).toMatchObject({ data: { kind: 'aborted' } });
  expect(workers.map(({ isEnded }) => isEnded)).toEqual([false, true, false]);
  worker(2).answer('open', provable(8));
  await preparing;
});
