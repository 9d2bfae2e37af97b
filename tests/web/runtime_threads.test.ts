// Threads of the runtime stay although nothing but the runtime's own closures refers to them.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

/** A browser's worker that nothing else refers to. */
class LooseWorker extends EventTarget {
  readonly memory = new Uint8Array(1024);
}

setFlagsFromString('--expose_gc');
const collect = runInNewContext('gc') as () => void;

beforeEach(() => {
  vi.resetModules();
  vi.stubGlobal('Worker', LooseWorker);
  vi.stubGlobal('self', globalThis);
});

afterEach(() => {
  vi.unstubAllGlobals();
});

/** How many of ten workers are left after a collection. */
async function leftOfTen(): Promise<number> {
  const started = Array.from(
    { length: 10 },
    () => new WeakRef(new Worker('http://localhost/ort.mjs', { type: 'module' })),
  );
  // What a WeakRef has given stays for the rest of the turn.
  await new Promise((resolve) => setTimeout(resolve, 0));
  collect();
  return started.filter((worker) => worker.deref() !== undefined).length;
}

test('without help workers are collected, so that the test below can fail', async () => {
  expect(await leftOfTen()).toBe(0);
});

test('threads that nothing refers to are kept', async () => {
  const { keepThreads } = await import('../../apps/web/src/inference/runtime_threads');
  keepThreads();
  expect(await leftOfTen()).toBe(10);
});
