// The worker's entry point: takes calls, posts answers, and turns errors into data. model_runner.ts executes the calls.
import '../host/trusted_scripts';
import { attributionBuffers } from './attribution';
import { featureBuffers, type FeatureReading } from './feature_reading';
import { lensBuffers, type LensMeasures } from './lens_reading';
import { toModelErrorData } from './model_error';
import { ModelRunner } from './model_runner';
import { neuronBuffers, type NeuronReading } from './neuron_reading';
import type { BatchResult, RunResult } from './model_types';
import { alternativesBuffers, type Alternatives } from './token_alternatives';
import type { SweepProgress } from './patching_sweep';
import type { WorkerAnswer, WorkerCall, WorkerMethods, WorkerMethod } from './worker_messages';

const runner = new ModelRunner(self.location.href);
/** Abort controllers of analyses in progress, by the number of their call. */
const analyses = new Map<number, AbortController>();

/** Methods whose errors are reported as errors of a run. */
const runs: ReadonlySet<WorkerMethod> = new Set([
  ...(['run', 'runBatch', 'alternatives', 'sweep', 'measureLens', 'readNeurons'] as const),
  ...(['readFeatures', 'readUnits', 'openDictionary'] as const),
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
      const { argument } = message;
      return analysed(message, (onProgress, signal) => runner.sweep(argument, onProgress, signal));
    }
    case 'measureLens': {
      const { argument } = message;
      return analysed(message, (onProgress, signal) =>
        runner.measureLens(argument, onProgress, signal),
      );
    }
    case 'readNeurons': {
      const { argument } = message;
      return analysed(message, (onProgress, signal) =>
        runner.readNeurons(argument, onProgress, signal),
      );
    }
    case 'readUnits': {
      const { argument } = message;
      return analysed(message, (onProgress, signal) =>
        runner.readUnits(argument, onProgress, signal),
      );
    }
    case 'openDictionary': {
      const { argument } = message;
      await analysed(message, (onProgress, signal) =>
        runner.openDictionary(argument, onProgress, signal),
      );
      return null;
    }
    case 'readFeatures': {
      const { argument } = message;
      return analysed(message, (onProgress, signal) =>
        runner.readFeatures(argument, onProgress, signal),
      );
    }
    case 'endSweep':
      analyses.get(message.argument)?.abort();
      return null;
  }
}

/** Do an analysis of several runs, which tells its progress and can be aborted by its call. */
async function analysed<Result>(
  { call }: WorkerCall,
  work: (onProgress: SweepProgress, signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const ending = new AbortController();
  analyses.set(call, ending);
  try {
    return await work((done, of) => {
      send({ call, kind: 'swept', done, of });
    }, ending.signal);
  } finally {
    analyses.delete(call);
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
  if (isLensMeasures(result)) return [...new Set(lensBuffers(result))];
  if (isNeuronReading(result)) return [...new Set(neuronBuffers(result))];
  if (isFeatureReading(result)) return [...new Set(featureBuffers(result))];
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

function isLensMeasures(result: ReturnType<WorkerMethods[WorkerMethod]>): result is LensMeasures {
  return result !== null && 'predictions' in result;
}

function isNeuronReading(result: ReturnType<WorkerMethods[WorkerMethod]>): result is NeuronReading {
  return result !== null && 'effects' in result;
}

function isFeatureReading(
  result: ReturnType<WorkerMethods[WorkerMethod]>,
): result is FeatureReading {
  return result !== null && 'raised' in result;
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
