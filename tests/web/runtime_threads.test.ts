// Threads of the runtime get their first message once they listen, in a browser that drops what comes before.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { threadListens } from '../../apps/web/src/inference/thread_listens';

/** A browser's worker as Firefox has it: before its script runs, messages to it are lost. */
class DroppingWorker extends EventTarget {
  readonly url: string;
  readonly got: unknown[] = [];
  #listens = false;

  constructor(url: string | URL) {
    super();
    this.url = String(url);
  }

  /** As in browsers, its turn comes when it was set, after listeners that were added before. */
  set onmessage(listener: (event: MessageEvent) => void) {
    this.addEventListener('message', (event) => {
      listener(event as MessageEvent);
    });
  }

  postMessage(...message: unknown[]): void {
    if (this.#listens) this.got.push(message);
  }

  /** Its script has run. */
  run(): void {
    this.#listens = true;
    this.dispatchEvent(new MessageEvent('message', { data: threadListens }));
  }
}

beforeEach(async () => {
  vi.resetModules();
  vi.stubGlobal('Worker', DroppingWorker);
  vi.stubGlobal('self', Object.assign(globalThis, { location: { href: 'http://localhost/' } }));
  const { holdMessagesForThreads } = await import('../../apps/web/src/inference/runtime_threads');
  holdMessagesForThreads();
});

afterEach(() => {
  vi.unstubAllGlobals();
});

function start(name: string): { worker: Worker; browsers: DroppingWorker } {
  const worker = new Worker('http://localhost/ort.mjs', { type: 'module', name });
  return { worker, browsers: worker as unknown as DroppingWorker };
}

test('a thread gets every message in order, whatever was posted before it listened', () => {
  const { worker, browsers } = start('em-pthread');
  const transfer: Transferable[] = [];
  worker.postMessage('memory and module', transfer);
  worker.postMessage('run');
  expect(browsers.got).toEqual([]);
  browsers.run();
  worker.postMessage('more');
  expect(browsers.got).toEqual([['memory and module', transfer], ['run'], ['more']]);
});

test('the runtime hears nothing of the message that is ours, and all others', () => {
  const { worker, browsers } = start('em-pthread');
  const heard: unknown[] = [];
  worker.onmessage = ({ data }: MessageEvent) => heard.push(data);
  browsers.run();
  browsers.dispatchEvent(new MessageEvent('message', { data: 'loaded' }));
  expect(heard).toEqual(['loaded']);
});

test('each thread waits for itself, and workers that are no threads for nothing', () => {
  const first = start('em-pthread');
  const second = start('em-pthread');
  const other = start('something else');
  for (const { worker } of [first, second, other]) worker.postMessage('load');
  second.browsers.run();
  expect(first.browsers.got).toEqual([]);
  expect(second.browsers.got).toEqual([['load']]);
  expect(other.browsers.url).toBe('http://localhost/ort.mjs');
  expect(first.browsers.url).toContain('runtime_thread');
});
