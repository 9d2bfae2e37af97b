// The page's typed proxy of the model's worker. model_runner.ts executes the calls in the worker.
import { startLimits } from '../bundle/download/retry_policy';
import '../host/trusted_scripts';
import { oneThreadWorker, wasmThreads } from './device';
import { logitLens } from './lens_names';
import { messageOf, ModelError } from './model_error';
import type { Sweep, SweepRequest } from '../analysis/patching';
import type { FeatureReading, FeaturesRequest } from './feature_reading';
import type { LensMeasures, LensRequest } from './lens_reading';
import type { ReadUnits, UnitsRequest } from './read_dashboards';
import type { NeuronReading, NeuronsRequest } from './neuron_reading';
import type { DeviceProof, ModelClient, PreparedSession, PrepareRequest } from './client_interface';
import type {
  BatchRequest,
  BatchResult,
  FirstPass,
  ModelErrorData,
  OpenedModel,
  OpenRequest,
  Progress,
  RunRequest,
  RunResult,
  CachedModels,
  Survey,
  TokenPiece,
} from './model_types';
import type { Alternatives, AlternativesRequest } from './token_alternatives';
import { areOneModel, hasRoomBeside, proofActivations } from './session_beside';
import type { WorkerAnswer, WorkerMethod, WorkerMethods } from './worker_messages';

interface PendingCall {
  readonly resolve: (result: ReturnType<WorkerMethods[WorkerMethod]>) => void;
  readonly reject: (error: ModelError) => void;
  readonly onProgress: ((progress: Progress) => void) | null;
  readonly onSwept: ((done: number, of: number) => void) | null;
}

interface Opened {
  readonly request: OpenRequest;
  readonly model: OpenedModel;
}

interface WaitingRun {
  readonly request: RunRequest;
  readonly resolve: (result: RunResult) => void;
  readonly reject: (error: unknown) => void;
}

/** Start the worker at once, so that it is ready by the time a model is opened. */
export function createModelClient(): ModelClient {
  return new WorkerModelClient(startModelWorker, pageThreads);
}

function startModelWorker(isForOneThread: boolean): Worker {
  // Vite reads the options where they stand: the name alone may be computed.
  const name = isForOneThread ? oneThreadWorker : 'oriel-model';
  try {
    return new Worker(new URL('./model.worker.ts', import.meta.url), { type: 'module', name });
  } catch (cause) {
    // For a page with an opaque origin even its own script is cross-origin.
    if (self.origin !== 'null') throw cause;
    const detail = messageOf(cause);
    throw new ModelError({ kind: 'sandboxed', address: location.href, detail }, { cause });
  }
}

/** Shared by the page's workers, so that the next one does not wait again for threads that failed to start. */
export interface Threads {
  several: boolean;
}

const pageThreads: Threads = { several: wasmThreads() > 1 };

/** The parts of a Worker that the client uses; tests stand in for the other side of it. */
export type WorkerPort = Pick<Worker, 'postMessage' | 'terminate' | 'addEventListener'>;

export class WorkerModelClient implements ModelClient {
  readonly #startWorker: (isForOneThread: boolean) => WorkerPort;
  readonly #threads: Threads;
  readonly #pending = new Map<number, PendingCall>();
  #worker: WorkerPort;
  /** The open model, and the request that opened it. */
  #opened: Opened | null = null;
  /** Sessions that are being created beside the open one. */
  readonly #beside = new Set<WorkerModelClient>();
  /** Ends the worker of a proof beside the open session; null if there is none. */
  #endProof: (() => void) | null = null;
  /** Length of the text that was run last. */
  #tokens = 0;
  /** Called once, with the next change of what is to be answered, or of the sessions beside the open one. */
  readonly #onChange: (() => void)[] = [];
  /** A worker opens one model: leaving it frees the runtime's memory, which nothing else does. */
  #workerIsFresh = true;
  #closed = false;
  #calls = 0;
  #running = false;
  #waiting: WaitingRun | null = null;

  constructor(startWorker: (isForOneThread: boolean) => WorkerPort, threads: Threads) {
    this.#startWorker = startWorker;
    this.#threads = threads;
    this.#worker = this.#attach();
  }

  firstPass(request: OpenRequest): Promise<FirstPass | null> {
    return this.#call('firstPass', absolute(request));
  }

  /** Ask the current worker: the model that it has opened stays open. */
  async survey(request: OpenRequest, signal?: AbortSignal): Promise<Survey> {
    if (signal?.aborted) throw new ModelError({ kind: 'aborted' });
    const aborted = new Promise<never>((_, reject) => {
      const abort = (): void => {
        reject(new ModelError({ kind: 'aborted' }));
      };
      signal?.addEventListener('abort', abort, { once: true });
    });
    return Promise.race([this.#call('survey', absolute(request)), aborted]);
  }

  async open(
    request: OpenRequest,
    onProgress: (progress: Progress) => void,
    signal?: AbortSignal,
  ): Promise<OpenedModel> {
    try {
      return await this.#openOnce(request, onProgress, signal);
    } catch (error) {
      const isHung = error instanceof ModelError && error.data.kind === 'hung';
      if (!isHung || error.data.part !== 'runtime' || !this.#threads.several) throw error;
      if (request.provider === 'webgpu') throw error;
      this.#threads.several = false;
      const waiting = { reason: 'one-thread', ms: error.data.ms } as const;
      // The worker that is there by now was started for several.
      this.#workerIsFresh = false;
      return await this.#openOnce(
        request,
        (progress) => {
          onProgress({ ...progress, waiting: progress.waiting ?? waiting });
        },
        signal,
      );
    }
  }

  async #openOnce(
    request: OpenRequest,
    onProgress: (progress: Progress) => void,
    signal: AbortSignal | undefined,
  ): Promise<OpenedModel> {
    if (!this.#workerIsFresh) this.#restart({ kind: 'aborted' });
    this.#workerIsFresh = false;
    const worker = this.#worker;
    // Ending the worker stops downloads and the compiling of a session alike.
    const end = (reason: ModelErrorData): void => {
      if (this.#worker === worker) this.#restart(reason);
    };
    const abort = (): void => {
      end({ kind: 'aborted' });
    };
    signal?.addEventListener('abort', abort, { once: true });
    const silence = new Silence((part) => {
      end({ kind: 'hung', part, ms: startLimits[part] });
    });
    try {
      const model = await this.#call('open', absolute(request), (progress) => {
        silence.hear(progress.phase);
        onProgress(progress);
      });
      this.#opened = { request, model };
      return model;
    } finally {
      silence.end();
      signal?.removeEventListener('abort', abort);
    }
  }

  async reach(request: OpenRequest): Promise<void> {
    await this.#call('reach', absolute(request));
  }

  async setActivations(names: readonly string[]): Promise<OpenedModel> {
    const request = this.#opened?.request;
    const model = await this.#call('setActivations', [...names]);
    if (request !== undefined) this.#opened = { request, model };
    return model;
  }

  async prepare(
    { activations, interventions }: PrepareRequest,
    signal: AbortSignal,
  ): Promise<PreparedSession> {
    const opened = this.#opened;
    if (opened === null || signal.aborted) throw new ModelError({ kind: 'aborted' });
    // There is memory for two sessions, and the reader waits for this one.
    this.#endProof?.();
    const wanted = { activations, interventions, lens: opened.model.lens };
    const { beside, discard, ...made } = await this.#openBeside(opened, wanted, signal);
    let { model } = made;
    try {
      if (model.lens !== opened.model.lens) model = await beside.setLens(opened.model.lens);
      return { model, use: () => this.#take(beside, { request: opened.request, model }) };
    } catch (error) {
      discard();
      throw error;
    }
  }

  /** Open the same model once more, in a worker that the signal ends unless it has taken the open one's place. */
  async #openBeside(
    { request, model: open }: Opened,
    wanted: Pick<OpenRequest, 'activations' | 'interventions' | 'lens'>,
    signal: AbortSignal,
  ): Promise<{ beside: WorkerModelClient; model: OpenedModel; discard: () => void }> {
    const beside = new WorkerModelClient(this.#startWorker, this.#threads);
    this.#beside.add(beside);
    const discard = (): void => {
      // One that has taken the open one's place has left the set.
      if (!this.#beside.delete(beside)) return;
      beside.close();
      this.#noteChange();
    };
    signal.addEventListener('abort', discard, { once: true });
    const asOpened = { ...request, variant: open.variant.name, provider: open.facts.provider };
    try {
      const model = await beside.open({ ...asOpened, ...wanted }, () => undefined);
      if (!areOneModel(model, open)) {
        const detail = 'the model has changed at its address since it was opened';
        throw new ModelError({ kind: 'session', detail });
      }
      return { beside, model, discard };
    } catch (error) {
      discard();
      throw error;
    }
  }

  /** Switch to a session that was created beside the open one, once the open one has answered all its calls. */
  async #take(beside: WorkerModelClient, opened: Opened): Promise<void> {
    while (this.#beside.has(beside) && this.#pending.size > 0)
      await new Promise<void>((resolve) => this.#onChange.push(resolve));
    if (!this.#beside.delete(beside)) throw new ModelError({ kind: 'aborted' });
    this.#worker.terminate();
    this.#worker = this.#listen(beside.#worker);
    this.#opened = opened;
    this.#running = false;
    this.#startWaiting();
  }

  async setLens(name: string): Promise<OpenedModel> {
    const request = this.#opened?.request;
    const model = await this.#call('setLens', name);
    if (request !== undefined) this.#opened = { request, model };
    return model;
  }

  cachedModels(): Promise<CachedModels> {
    return this.#call('cachedModels', null);
  }

  forget(url: string | null): Promise<CachedModels> {
    return this.#call('forget', url);
  }

  encode(text: string): Promise<TokenPiece[]> {
    return this.#call('encode', text);
  }

  pieces(ids: readonly number[]): Promise<TokenPiece[]> {
    return this.#call('pieces', [...ids]);
  }

  savedGraph(): Promise<Uint8Array<ArrayBuffer>> {
    return this.#call('savedGraph', null);
  }

  async prove(): Promise<DeviceProof | null> {
    const opened = this.#opened;
    if (opened !== null && this.#hasRoomForProof(opened.model)) {
      const stop = new AbortController();
      this.#endProof = () => {
        stop.abort();
      };
      try {
        const activations = proofActivations(opened.model);
        // The publisher's numbers are of the logit lens.
        const wanted = { activations, lens: logitLens };
        const { beside } = await this.#openBeside(opened, wanted, stop.signal);
        return await beside.#call('prove', null);
      } catch (error) {
        // Any other error, such as a lack of memory after all, is found or avoided in the open session's worker.
        if (error instanceof ModelError && error.data.kind === 'aborted') throw error;
      } finally {
        this.#endProof();
        this.#endProof = null;
      }
    }
    return this.#call('prove', null);
  }

  /** Return whether a proof can have a session beside the open one. */
  #hasRoomForProof(model: OpenedModel): boolean {
    if (model.variant.reference_pass === undefined || this.#beside.size > 0) return false;
    return hasRoomBeside(model, proofActivations(model), this.#tokens);
  }

  run(request: RunRequest): Promise<RunResult> {
    this.#tokens = request.ids.length;
    this.#waiting?.reject(new ModelError({ kind: 'aborted' }));
    return new Promise((resolve, reject) => {
      this.#waiting = { request, resolve, reject };
      this.#startWaiting();
    });
  }

  runBatch(request: BatchRequest): Promise<BatchResult> {
    return this.#call('runBatch', request);
  }

  alternatives(request: AlternativesRequest): Promise<Alternatives> {
    return this.#call('alternatives', request);
  }

  sweep(
    request: SweepRequest,
    onProgress?: (done: number, of: number) => void,
    signal?: AbortSignal,
  ): Promise<Sweep> {
    return this.#analysed(() => this.#call('sweep', request, null, onProgress), signal);
  }

  measureLens(
    request: LensRequest,
    onProgress?: (done: number, of: number) => void,
    signal?: AbortSignal,
  ): Promise<LensMeasures> {
    return this.#analysed(() => this.#call('measureLens', request, null, onProgress), signal);
  }

  readNeurons(
    request: NeuronsRequest,
    onProgress?: (done: number, of: number) => void,
    signal?: AbortSignal,
  ): Promise<NeuronReading> {
    return this.#analysed(() => this.#call('readNeurons', request, null, onProgress), signal);
  }

  readUnits(
    request: UnitsRequest,
    onProgress?: (done: number, of: number) => void,
    signal?: AbortSignal,
  ): Promise<ReadUnits> {
    const asked = { ...request, model: absolute(request.model) };
    return this.#analysed(() => this.#call('readUnits', asked, null, onProgress), signal);
  }

  async openDictionary(
    name: string,
    onProgress?: (done: number, of: number) => void,
    signal?: AbortSignal,
  ): Promise<void> {
    await this.#analysed(() => this.#call('openDictionary', name, null, onProgress), signal);
  }

  readFeatures(
    request: FeaturesRequest,
    onProgress?: (done: number, of: number) => void,
    signal?: AbortSignal,
  ): Promise<FeatureReading> {
    return this.#analysed(() => this.#call('readFeatures', request, null, onProgress), signal);
  }

  /** Begin a call that the signal aborts. */
  async #analysed<Result>(begin: () => Promise<Result>, signal?: AbortSignal): Promise<Result> {
    if (signal?.aborted) throw new ModelError({ kind: 'aborted' });
    const result = begin();
    const call = this.#calls;
    const end = (): void => {
      // The call itself rejects with the abort; if the worker was terminated meanwhile, there is nothing to abort.
      this.#call('endSweep', call).catch(() => undefined);
    };
    signal?.addEventListener('abort', end, { once: true });
    try {
      return await result;
    } finally {
      signal?.removeEventListener('abort', end);
    }
  }

  close(): void {
    this.#closed = true;
    this.#worker.terminate();
    this.#rejectAll({ kind: 'aborted' });
    this.#discardBeside();
  }

  #discardBeside(): void {
    for (const beside of this.#beside) beside.close();
    this.#beside.clear();
    this.#noteChange();
  }

  #noteChange(): void {
    for (const resolve of this.#onChange.splice(0)) resolve();
  }

  #startWaiting(): void {
    const next = this.#waiting;
    if (next === null || this.#running) return;
    this.#waiting = null;
    this.#running = true;
    const worker = this.#worker;
    const done = (): void => {
      // A restart has started counting anew.
      if (this.#worker !== worker) return;
      this.#running = false;
      this.#startWaiting();
    };
    this.#call('run', next.request).then(next.resolve, next.reject).finally(done);
  }

  #call<Method extends WorkerMethod>(
    method: Method,
    argument: Parameters<WorkerMethods[Method]>[0],
    onProgress: ((progress: Progress) => void) | null = null,
    onSwept: ((done: number, of: number) => void) | null = null,
  ): Promise<ReturnType<WorkerMethods[Method]>> {
    if (this.#closed) return Promise.reject(new ModelError({ kind: 'aborted' }));
    const call = ++this.#calls;
    return new Promise((resolve, reject) => {
      this.#pending.set(call, {
        // The worker answers a call with its own method's result.
        resolve: resolve as PendingCall['resolve'],
        reject,
        onProgress,
        onSwept,
      });
      this.#worker.postMessage({ call, method, argument });
    });
  }

  #attach(): WorkerPort {
    return this.#listen(this.#startWorker(!this.#threads.several && wasmThreads() > 1));
  }

  #listen(worker: WorkerPort): WorkerPort {
    worker.addEventListener('message', ({ data }: MessageEvent<WorkerAnswer>) => {
      if (worker === this.#worker) this.#receive(data);
    });
    worker.addEventListener('error', (event) => {
      event.preventDefault();
      if (worker === this.#worker) this.#fail(event.message || 'the worker could not be started');
    });
    worker.addEventListener('messageerror', () => {
      if (worker === this.#worker) this.#fail('an answer of the worker could not be read');
    });
    return worker;
  }

  #receive(answer: WorkerAnswer): void {
    const pending = this.#pending.get(answer.call);
    if (pending === undefined) return;
    switch (answer.kind) {
      case 'progress':
        pending.onProgress?.(answer.progress);
        return;
      case 'swept':
        pending.onSwept?.(answer.done, answer.of);
        return;
      case 'error':
        this.#pending.delete(answer.call);
        pending.reject(new ModelError(answer.error));
        break;
      case 'result':
        this.#pending.delete(answer.call);
        pending.resolve(answer.result);
    }
    this.#noteChange();
  }

  /** Reject all calls after the worker as a whole broke down: it will answer none of them. */
  #fail(detail: string): void {
    this.#rejectAll({ kind: 'session', detail });
    this.#workerIsFresh = false;
  }

  #restart(reason: ModelErrorData): void {
    this.#worker.terminate();
    this.#rejectAll(reason);
    this.#running = false;
    this.#opened = null;
    this.#discardBeside();
    this.#workerIsFresh = true;
    this.#worker = this.#attach();
  }

  #rejectAll(error: ModelErrorData): void {
    const pending = [...this.#pending.values()];
    this.#pending.clear();
    const waiting = this.#waiting;
    this.#waiting = null;
    for (const { reject } of pending) reject(new ModelError(error));
    waiting?.reject(new ModelError(error));
    this.#noteChange();
  }
}

/** A timeout for a silent worker, used before its first message and while the runtime starts. */
class Silence {
  readonly #onEnd: (part: 'worker' | 'runtime') => void;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(onEnd: (part: 'worker' | 'runtime') => void) {
    this.#onEnd = onEnd;
    this.#wait('worker');
  }

  /** Note a sign of life. Only the runtime's start is limited here: downloads have their own limits, and a session may
   * take as long as its size needs. */
  hear(phase: Progress['phase']): void {
    this.end();
    if (phase === 'runtime') this.#wait('runtime');
  }

  end(): void {
    clearTimeout(this.#timer);
  }

  #wait(part: 'worker' | 'runtime'): void {
    this.#timer = setTimeout(() => {
      this.#onEnd(part);
    }, startLimits[part]);
  }
}

/** Resolve the address against the page's: the worker's script has another one. */
function absolute(request: OpenRequest): OpenRequest {
  return URL.canParse(request.url, document.baseURI)
    ? { ...request, url: new URL(request.url, document.baseURI).href }
    : request;
}
