// Runs each job in a worker of its own, which takes all its memory along when it ends.
import type { Answer, Job } from './jobs';
import OrielWorker from './oriel.worker?worker';
import PeerWorker from './peer.worker?worker';

declare global {
  // Only `var` declares a property of globalThis.
  var measure: (job: Job) => Promise<Answer>;
}

globalThis.measure = (job) =>
  new Promise((resolve, reject) => {
    const worker = job.library === 'oriel' ? new OrielWorker() : new PeerWorker();
    worker.onmessage = ({ data }: MessageEvent<{ answer: Answer } | { error: string }>) => {
      worker.terminate();
      if ('answer' in data) resolve(data.answer);
      else reject(new Error(data.error));
    };
    worker.onerror = ({ message }) => {
      worker.terminate();
      reject(new Error(message || 'the worker could not start'));
    };
    worker.postMessage(job);
  });
