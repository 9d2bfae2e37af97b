// Ways to load one model, each timed from the request to the session that answers: ours, and the least that there can be.
import { createModelClient } from '../../apps/web/src/inference/model_client';
import BareWorker from './bare.worker?worker';
import type { BareJob, BareTimes } from './bare.worker';

export interface OwnTimes {
  /** From `open` to the opened model. */
  readonly all: number;
  readonly download: number;
  readonly session: number;
  readonly downloadedBytes: number;
  readonly keptBytes: number;
}

declare global {
  // Only `var` declares a property of globalThis.
  var loadOurs: (url: string, variant: string) => Promise<OwnTimes>;
  var loadBare: (job: BareJob) => Promise<BareTimes>;
  var firstToken: (() => Promise<number>) | undefined;
}

globalThis.loadOurs = async (url, variant) => {
  const client = createModelClient();
  // The runtime starts with the worker, before any model is named, as it does on the page.
  await client.cachedModels();
  await new Promise((resolve) => setTimeout(resolve, 2500));
  const began = performance.now();
  const { timings } = await client.open({ url, variant, provider: 'wasm' }, () => undefined);
  const all = performance.now() - began;
  globalThis.firstToken = async () => {
    const { lastLogits } = await client.run({ ids: [1], reuseCache: false });
    return lastLogits[0] ?? Number.NaN;
  };
  const { downloadMs, sessionMs, downloadedBytes, keptBytes } = timings;
  return { all, download: downloadMs, session: sessionMs, downloadedBytes, keptBytes };
};

globalThis.loadBare = (job) =>
  new Promise((resolve, reject) => {
    const worker = new BareWorker();
    worker.onmessage = ({ data }: MessageEvent<{ times: BareTimes } | { error: string }>) => {
      if ('times' in data) resolve(data.times);
      else reject(new Error(data.error));
    };
    worker.onerror = ({ message }) => {
      reject(new Error(message || 'the worker could not start'));
    };
    worker.postMessage(job);
  });
