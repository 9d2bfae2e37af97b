// The worker's entry point: takes calls, posts answers, and turns errors into data. model_runner.ts executes the calls.
import '../host/trusted_scripts';
import { attributionBuffers } from './attribution';
import { toModelErrorData } from './model_error';
import { ModelRunner } from './model_runner';
import type { RunResult } from './model_types';
import type { WorkerAnswer, WorkerCall, WorkerMethods, WorkerMethod } from './worker_messages';

const runner = new ModelRunner(self.location.href);

function send(answer: WorkerAnswer, transfer: Transferable[] = []): void {
  self.postMessage(answer, { transfer });
}

async function perform(message: WorkerCall): Promise<ReturnType<WorkerMethods[WorkerMethod]>> {
  switch (message.method) {
    case 'firstPass':
      return runner.firstPass(message.argument);
    case 'survey':
      return runner.survey(message.argument);
    case 'open':
      return runner.open(message.argument, (progress) => {
        send({ call: message.call, kind: 'progress', progress });
      });
    case 'reach':
      await runner.reach(message.argument);
      return null;
    case 'setActivations':
      return runner.setActivations(message.argument);
    case 'setLens':
      return runner.setLens(message.argument);
    case 'cachedModels':
      return runner.cachedModels();
    case 'forget':
      return runner.forget(message.argument);
    case 'encode':
      return runner.encode(message.argument);
    case 'pieces':
      return runner.pieces(message.argument);
    case 'savedGraph':
      return runner.savedGraph();
    case 'prove':
      return runner.prove();
    case 'run':
      return runner.run(message.argument);
  }
}

/** Return the buffers to transfer: activations are megabytes, too large to copy. */
function buffersOf(result: ReturnType<WorkerMethods[WorkerMethod]>): Transferable[] {
  if (result instanceof Uint8Array) return [result.buffer];
  if (!isRunResult(result)) return [];
  const { lastLogits, tensors, attribution } = result;
  const shares = attribution === undefined ? [] : attributionBuffers(attribution);
  return [...new Set([lastLogits.buffer, ...tensors.map(({ data }) => data.buffer), ...shares])];
}

function isRunResult(result: ReturnType<WorkerMethods[WorkerMethod]>): result is RunResult {
  return result !== null && 'lastLogits' in result;
}

self.addEventListener('message', ({ data }: MessageEvent<WorkerCall>) => {
  perform(data).then(
    (result) => {
      send({ call: data.call, kind: 'result', result }, buffersOf(result));
    },
    (error: unknown) => {
      const fallback = data.method === 'run' ? 'run' : 'session';
      send({ call: data.call, kind: 'error', error: toModelErrorData(error, fallback) });
    },
  );
});
