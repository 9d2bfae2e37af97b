// The worker of a download, in whose place the test answers: when it is asked, ended, or done without.
import { createHash } from 'node:crypto';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { FileByteSource } from '../../apps/web/src/bundle/sources/file_source';
import { downloadApart, type FilesOrder } from '../../apps/web/src/inference/download_apart';
import type { DownloadNews, DownloadOrder } from '../../apps/web/src/inference/download_messages';

/** A worker that starts when the test says so, and keeps its orders. */
class AskedWorker extends EventTarget {
  static all: AskedWorker[] = [];
  static sendsFolders = true;
  readonly orders: DownloadOrder[] = [];
  isEnded = false;

  constructor() {
    super();
    AskedWorker.all.push(this);
  }

  postMessage(order: DownloadOrder): void {
    if (!AskedWorker.sendsFolders) throw new DOMException('no handles', 'DataCloneError');
    this.orders.push(order);
  }

  terminate(): void {
    this.isEnded = true;
  }

  tell(news: DownloadNews): void {
    this.dispatchEvent(new MessageEvent('message', { data: news }));
  }
}

beforeEach(() => {
  AskedWorker.all = [];
  AskedWorker.sendsFolders = true;
  vi.stubGlobal('Worker', AskedWorker);
});

afterEach(() => {
  vi.unstubAllGlobals();
});

const bytes = Uint8Array.of(1, 2, 3);
const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const order: FilesOrder = {
  source: new FileByteSource(new Map([['w', new File([bytes], 'w')]])),
  descriptors: [{ path: 'w', media_type: 'any/thing', bytes: 3, digest }],
  weights: new Set(),
  modelCache: null,
};

/** Start a download, and return its worker as well. */
function started(signal: AbortSignal): { worker: AskedWorker; outcome: Promise<unknown> } {
  const outcome = downloadApart(order, signal, () => undefined).catch((error: unknown) => error);
  const [worker] = AskedWorker.all;
  if (worker === undefined) throw new Error('no worker was started');
  return { worker, outcome };
}

test('a download that is given up while its worker starts asks it for nothing', async () => {
  const stop = new AbortController();
  const { worker, outcome } = started(stop.signal);
  stop.abort();
  worker.tell({ kind: 'ready' });
  expect(await outcome).toMatchObject({ data: { kind: 'aborted' } });
  expect(worker).toMatchObject({ orders: [], isEnded: true });
});

test('one that is given up later ends its worker', async () => {
  const stop = new AbortController();
  const { worker, outcome } = started(stop.signal);
  worker.tell({ kind: 'ready' });
  await vi.waitFor(() => {
    expect(worker.orders).toMatchObject([{ kind: 'start' }]);
  });
  stop.abort();
  expect(await outcome).toMatchObject({ data: { kind: 'aborted' } });
  expect(worker.isEnded).toBe(true);
});

test('a browser that sends no folder to a worker downloads without it', async () => {
  AskedWorker.sendsFolders = false;
  const { worker, outcome } = started(new AbortController().signal);
  worker.tell({ kind: 'ready' });
  expect(await outcome).toMatchObject({ files: new Map([['w', bytes]]) });
  expect(worker.isEnded).toBe(true);
});

test('an answer that can not be read is an error', async () => {
  const { worker, outcome } = started(new AbortController().signal);
  worker.tell({ kind: 'ready' });
  await vi.waitFor(() => {
    expect(worker.orders).toHaveLength(1);
  });
  worker.dispatchEvent(new Event('messageerror'));
  expect(await outcome).toMatchObject({ data: { kind: 'session' } });
});
