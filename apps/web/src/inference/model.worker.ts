// The worker's entry point: takes calls, posts answers, and turns errors into data. model_runner.ts executes the calls.
import '../host/trusted_scripts';
import { attributionBuffers } from './attribution';
import { toModelErrorData } from './model_error';
import { ModelRunner } from './model_runner';
import type { BatchResult, RunResult } from './model_types';
import { alternativesBuffers, type Alternatives } from './token_alternatives';
import type { WorkerAnswer, WorkerCall, WorkerMethods, WorkerMethod } from './worker_messages';

const runner = new ModelRunner(self.location.href);
/** Abort controllers of sweeps in progress, by the number of their call. */
const sweeps = new Map<number, AbortController>();

/** Methods whose errors are reported as errors of a run. */
const runs: ReadonlySet<WorkerMethod> = new Set([
  ...(['run', 'runBatch', 'alternatives', 'sweep'] as const),
]);

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
    case 'runBatch':
      return runner.runBatch(message.argument);
    case 'alternatives':
      return runner.alternatives(message.argument);
    case 'sweep': {
      const ending = new AbortController();
      sweeps.set(message.call, ending);
      const onProgress = (done: number, of: number): void => {
        send({ call: message.call, kind: 'swept', done, of });
      };
      return runner.sweep(message.argument, onProgress, ending.signal).finally(() => {
        sweeps.delete(message.call);
      });
    }
    case 'endSweep':
      sweeps.get(message.argument)?.abort();
      return null;
  }
}

/** Return the buffers to transfer: activations are megabytes, too large to copy. */
function buffersOf(result: ReturnType<WorkerMethods[WorkerMethod]>): Transferable[] {
  if (result instanceof Uint8Array) return [result.buffer];
  if (isBatchResult(result)) {
    const tensors = result.texts.flatMap((text) => [text.logits, ...text.tensors]);
    return [...new Set(tensors.map(({ data }) => data.buffer))];
  }
  if (isAlternatives(result)) return alternativesBuffers(result);
  if (!isRunResult(result)) return [];
  const { lastLogits, tensors, attribution } = result;
  const shares = attribution === undefined ? [] : attributionBuffers(attribution);
  return [...new Set([lastLogits.buffer, ...tensors.map(({ data }) => data.buffer), ...shares])];
}

function isRunResult(result: ReturnType<WorkerMethods[WorkerMethod]>): result is RunResult {
  return result !== null && 'lastLogits' in result;
}

function isAlternatives(result: ReturnType<WorkerMethods[WorkerMethod]>): result is Alternatives {
  return result !== null && 'topIds' in result;
}

function isBatchResult(result: ReturnType<WorkerMethods[WorkerMethod]>): result is BatchResult {
  return result !== null && 'texts' in result;
}

self.addEventListener('message', ({ data }: MessageEvent<WorkerCall>) => {
  perform(data).then(
    (result) => {
      send({ call: data.call, kind: 'result', result }, buffersOf(result));
    },
    (error: unknown) => {
      const fallback = runs.has(data.method) ? 'run' : 'session';
      send({ call: data.call, kind: 'error', error: toModelErrorData(error, fallback) });
    },
  );
});
