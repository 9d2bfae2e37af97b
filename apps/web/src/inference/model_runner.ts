// Owns one opened model: its session, its taps and closings, its cache. Loading is load_model.ts; the page's calls, model.worker.ts.
import type * as Ort from 'onnxruntime-web';
import { fileOf } from '../bundle/download/download';
import { sessionGraph } from '../contract/variant_graphs';
import type { TextTokenizer } from '../tokenizer/text_tokenizer';
import { loadFirstPass } from './load_first_pass';
import { firstSlots, noSlots, slotsFor, type ClosingSlots } from './closing_slots';
import { failureError, GpuWatch } from './failure';
import { nodesOf } from './graph_nodes';
import { cacheNames, protocolOf, type Feeds, type SessionInputs } from './graph_protocols';
import { interventionKey, noInterventions, type Interventions } from './interventions';
import type { FedSpan } from './joint_edit';
import { checkInterventions, closingsNeeded, jointEdits } from './joint_edits';
import { disposeAll, KeyValueCache, truncatePositions, type CacheHit } from './key_value_cache';
import { findKeptVariants } from './kept_variants';
import { reachModel } from './reach_model';
import { loadModel, phase, startEarly, surveyModel, type LoadedModel } from './load_model';
import { ModelError } from './model_error';
import type {
  FirstPass,
  OpenedModel,
  OpenRequest,
  Progress,
  Provider,
  RunRequest,
  RunResult,
  CachedModels,
  Survey,
  Tensor,
  TokenPiece,
} from './model_types';
import { concatenated, defaultActivations, openTaps, savedGraph } from './taps';

interface Session {
  readonly session: Ort.InferenceSession;
  /** Names of the activations that it was made for. */
  readonly names: readonly string[];
  /** Outputs that are neither logits nor cache. */
  readonly activations: readonly string[];
  readonly inputs: SessionInputs;
  /** What every run is fed: an empty cache, and edits that change nothing. */
  readonly neutral: Readonly<Feeds>;
}

export class ModelRunner {
  readonly #early = startEarly();
  readonly #cache = new KeyValueCache();
  readonly #gpu = new GpuWatch();
  readonly #baseUrl: string;
  #request: OpenRequest = { url: '', provider: 'auto' };
  #model: LoadedModel | null = null;
  #session: Session | null = null;
  /** The closings that runs have needed so far: a saved graph has no others. */
  #editedSlots: ClosingSlots = noSlots;
  /** A session computes one thing at a time. */
  #lastJob: Promise<unknown> = Promise.resolve();

  /** Relative addresses of models are resolved against `baseUrl`. */
  constructor(baseUrl: string) {
    this.#baseUrl = baseUrl;
  }

  /** Fetch the example. Does not wait for other calls, as it is for the time until a model is open. */
  firstPass(request: OpenRequest): Promise<FirstPass | null> {
    return loadFirstPass(request, this.#baseUrl, this.#early);
  }

  /** Survey the variants. Does not wait for other calls, as it leaves an open model untouched. */
  survey(request: OpenRequest): Promise<Survey> {
    return surveyModel(request, this.#baseUrl, this.#early);
  }

  open(request: OpenRequest, onProgress: (progress: Progress) => void): Promise<OpenedModel> {
    return this.#inTurn(async () => {
      this.#request = request;
      this.#model = await loadModel(request, this.#baseUrl, this.#early, onProgress);
      onProgress(phase('session'));
      const { variant } = this.#model;
      const names = request.activations ?? defaultActivations(variant);
      this.#editedSlots = noSlots;
      const first = firstSlots(sessionGraph(variant).activations.joints);
      const slots = slotsFor(first, closingsNeeded(request.interventions ?? noInterventions));
      const opened = await this.#openSession(names, slots);
      const firstRunMs = await this.#tryOut();
      return { ...opened, timings: { ...opened.timings, firstRunMs } };
    });
  }

  /** Check a request. Does not wait for other calls, as it leaves an open model untouched. */
  reach(request: OpenRequest): Promise<void> {
    return reachModel(request, this.#baseUrl, this.#early);
  }

  setActivations(names: readonly string[]): Promise<OpenedModel> {
    return this.#inTurn(() => {
      // The page needs the new activations of every token.
      return this.#reopenSession(names, this.#session?.inputs.slots ?? noSlots, 'clear');
    });
  }

  async cachedModels(): Promise<CachedModels> {
    return (await (await this.#early.modelCache)?.kept()) ?? null;
  }

  async forget(url: string | null): Promise<CachedModels> {
    await (await this.#early.modelCache)?.forget(url);
    return this.cachedModels();
  }

  encode(text: string): TokenPiece[] {
    return this.#tokenizer().encode(text);
  }

  pieces(ids: readonly number[]): TokenPiece[] {
    const tokenizer = this.#tokenizer();
    return ids.map((id) => tokenizer.piece(id));
  }

  /** Return the open session's graph as one ONNX file. Waits for other calls: they may change the session. */
  savedGraph(): Promise<Uint8Array<ArrayBuffer>> {
    return this.#inTurn(() => {
      const { variant, files } = this.#opened();
      const { names } = this.#openedSession();
      const graph = fileOf(files, sessionGraph(variant).path);
      return Promise.resolve(savedGraph(variant, graph, names, this.#editedSlots));
    });
  }

  run(request: RunRequest): Promise<RunResult> {
    return this.#inTurn(() => this.#run(request));
  }

  #inTurn<Result>(job: () => Promise<Result>): Promise<Result> {
    const turn = this.#lastJob.then(job, job);
    this.#lastJob = turn.catch(() => undefined);
    return turn;
  }

  /** Open a session in the place of the open one, which is made again where that fails. */
  async #reopenSession(
    names: readonly string[],
    slots: ClosingSlots,
    cache: 'keep' | 'clear',
  ): Promise<OpenedModel> {
    const before = this.#session;
    try {
      return await this.#openSession(names, slots, cache);
    } catch (error) {
      // The previous session had to be released first; it is made again, so that the page can go on with it.
      if (this.#session === null && before !== null)
        await this.#openSession(before.names, before.inputs.slots).catch(() => undefined);
      throw error;
    }
  }

  /**
   * Give the session the closings that these interventions need, if it lacks some and the text has a place for them.
   * Return the milliseconds that the new session took; null where the open one has them.
   */
  async #provideClosings(interventions: Interventions, text: FedSpan): Promise<number | null> {
    const { names, inputs } = this.#openedSession();
    const needed = closingsNeeded(interventions);
    const slots = slotsFor(inputs.slots, needed);
    const edited = slotsFor(this.#editedSlots, needed);
    if (slots === inputs.slots && edited === this.#editedSlots) return null;
    // What is refused must leave the session as it is.
    jointEdits(interventions, this.#opened().manifest.model.shape, text);
    this.#editedSlots = edited;
    if (slots === inputs.slots) return null;
    return (await this.#reopenSession(names, slots, 'keep')).timings.sessionMs;
  }

  async #openSession(
    names: readonly string[],
    slots: ClosingSlots,
    cache: 'keep' | 'clear' = 'clear',
  ): Promise<OpenedModel> {
    const model = this.#opened();
    const { manifest, variant, runtime, files } = model;
    const { path, activations: document } = sessionGraph(variant);
    // Taps first: an unknown name must leave the open session as it is.
    const tapped = openTaps(variant, fileOf(files, path), names, slots);
    const graph = concatenated(tapped.parts);
    if (cache === 'clear') this.#cache.clear();
    else if (runtime.provider === 'webgpu') await this.#keepCacheOfGpu(runtime.ort);
    // Before anything is released: where they can't be had, the open session stays.
    const weights = await model.weights.open();
    // Before the new one is made, so that the weights are never in the runtime's memory twice.
    const previous = this.#session;
    this.#session = null;
    await previous?.session.release();
    const start = performance.now();
    let session: Ort.InferenceSession;
    try {
      session = await runtime.ort.InferenceSession.create(graph, {
        ...providerOptions(runtime.provider, graph, cacheNames(document)),
        externalData: weights.map(({ path, data }) => ({ path, data })),
        graphOptimizationLevel: 'all',
      });
      if (runtime.provider === 'webgpu') await this.#gpu.watch(runtime.ort);
    } catch (cause) {
      const failed = weights.map((file) => file.error()).find((error) => error !== null);
      throw await this.#failure('session', failed ?? cause);
    } finally {
      for (const file of weights) file.close();
    }
    const sessionMs = performance.now() - start;
    const expandMs = weights.reduce((sum, file) => sum + file.expandMs(), 0);
    const inputs = { document, slots, names: session.inputNames };
    const neutral = protocolOf(document).neutral(runtime.ort, inputs);
    this.#session = { session, names, activations: tapped.activations, inputs, neutral };
    return {
      manifest,
      isBare: model.isBare,
      variant,
      facts: model.facts,
      device: model.opening.device,
      offer: model.opening.offer,
      activations: ['logits', ...tapped.activations],
      hasTokenizer: model.tokenizer !== null,
      tokenizerTrouble: model.tokenizerTrouble,
      ...model.arrival,
      timings: { ...model.timings, expandMs, sessionMs, firstRunMs: null },
    };
  }

  /** Read the cache back from the GPU; one that can't be read is computed again. */
  async #keepCacheOfGpu(ort: typeof Ort): Promise<void> {
    try {
      await this.#gpu.guard(() => this.#cache.copyToMemory(ort));
    } catch {
      this.#cache.clear();
    }
  }

  /**
   * Run one token on WebGPU, so that a failure of its shaders or memory is known at opening. wasm
   * has reported by now what it can't do.
   */
  async #tryOut(): Promise<number | null> {
    const { runtime } = this.#opened();
    if (runtime.provider === 'wasm') return null;
    const { session, inputs, neutral } = this.#openedSession();
    const began = performance.now();
    try {
      const { text } = protocolOf(inputs.document);
      const feeds = { ...neutral, ...text(runtime.ort, { ids: [0], start: 0 }, inputs) };
      const outputs = await this.#gpu.guard(() => session.run(feeds));
      for (const tensor of Object.values(outputs)) tensor.dispose();
    } catch (cause) {
      throw await this.#failure('session', cause);
    }
    return performance.now() - began;
  }

  async #failure(kind: 'session' | 'run', error: unknown): Promise<ModelError> {
    const { opening, manifest } = this.#opened();
    const kept = await findKeptVariants(this.#request, manifest, this.#early);
    return failureError(kind, error, opening, { isDeviceLost: this.#gpu.isLost, kept });
  }

  async #run({
    ids,
    reuseCache,
    keepCache = true,
    interventions = noInterventions,
  }: RunRequest): Promise<RunResult> {
    const { manifest, runtime, variant } = this.#opened();
    const { shape } = manifest.model;
    checkTokens(ids, shape.vocab, shape.context_length);
    checkInterventions(interventions, shape);
    const { activations: document } = sessionGraph(variant);
    const protocol = protocolOf(document);
    const text = { start: 0, end: ids.length, goesOn: keepCache };
    const sessionMs =
      protocol.edits === 'joints' ? await this.#provideClosings(interventions, text) : null;
    const { session, activations, inputs, neutral } = this.#openedSession();
    const key = interventionKey(interventions, ids.length);
    const hit = reuseCache ? this.#cache.find(ids, key) : null;
    const start = hit?.length ?? 0;
    const edits = jointEdits(interventions, shape, { ...text, start });
    const feeds = {
      ...neutral,
      ...protocol.text(runtime.ort, { ids, start }, inputs),
      ...protocol.edited(runtime.ort, edits, inputs),
      ...(hit && (await cacheFeeds(runtime.ort, hit))),
    };
    const began = performance.now();
    let outputs: Ort.InferenceSession.ReturnType;
    try {
      outputs = await this.#gpu.guard(() => session.run(feeds));
    } catch (cause) {
      throw await this.#failure('run', cause);
    }
    const runMs = performance.now() - began;
    const output = (name: string): Ort.Tensor => {
      const tensor = outputs[name];
      if (tensor === undefined) throw new ModelError({ kind: 'run', detail: `no output ${name}` });
      return tensor;
    };
    const pairs = cacheNames(document).map((pair) => [pair.input, output(pair.output)] as const);
    if (!protocol.hasCache || !keepCache) disposeAll(pairs.map(([, tensor]) => tensor));
    else this.#cache.store([...ids], key, new Map(pairs));
    const logits = output('logits').data as Float32Array;
    return {
      ids,
      start,
      lastLogits: logits.slice(-shape.vocab),
      tensors: activations.map((name) => plainTensor(name, output(name))),
      timings: { runMs, ...(sessionMs !== null && { sessionMs }) },
    };
  }

  #opened(): LoadedModel {
    if (this.#model === null) throw noModel();
    return this.#model;
  }

  #openedSession(): Session {
    if (this.#session === null) throw noModel();
    return this.#session;
  }

  #tokenizer(): TextTokenizer {
    const { tokenizer } = this.#opened();
    if (tokenizer === null) throw new ModelError({ kind: 'no-tokenizer' });
    return tokenizer;
  }
}

/**
 * WGSL guarantees little accuracy of sine and cosine: rotary angles came out wrong by 4e-4, growing with
 * the position. They are a few numbers for each token, so the CPU computes them.
 */
const operatorsForCpu = new Set(['Sin', 'Cos']);

function providerOptions(
  provider: Provider,
  graph: Uint8Array<ArrayBuffer>,
  cache: readonly { readonly output: string }[],
): Pick<Ort.InferenceSession.SessionOptions, 'executionProviders' | 'preferredOutputLocation'> {
  if (provider === 'wasm') return { executionProviders: ['wasm'] };
  const forceCpuNodeNames = nodesOf(graph, operatorsForCpu);
  return {
    executionProviders: [
      // The runtime refuses a list of no names.
      { name: 'webgpu', ...(forceCpuNodeNames.length > 0 && { forceCpuNodeNames }) },
    ],
    // The cache stays where the next run reads it; activations come to the page.
    preferredOutputLocation: Object.fromEntries(
      cache.map(({ output }) => [output, 'gpu-buffer'] as const),
    ),
  };
}

/** Return cached keys and values, cut to the tokens that the new sequence shares with the old one. */
async function cacheFeeds(
  ort: typeof Ort,
  { length, tensors }: CacheHit,
): Promise<Record<string, Ort.Tensor>> {
  const feeds: Record<string, Ort.Tensor> = {};
  for (const [name, tensor] of tensors) {
    const [batch = 1, heads = 0, past = 0, width = 0] = tensor.dims;
    feeds[name] =
      past === length
        ? tensor
        : new ort.Tensor(
            'float32',
            truncatePositions((await tensor.getData()) as Float32Array, tensor.dims, length),
            [batch, heads, length, width],
          );
  }
  return feeds;
}

function checkTokens(ids: readonly number[], vocab: number, contextLength: number): void {
  if (ids.length === 0) throw new ModelError({ kind: 'bad-tokens', detail: 'no tokens' });
  if (ids.length > contextLength) {
    throw new ModelError({ kind: 'too-long', tokens: ids.length, limit: contextLength });
  }
  // By index, since the invalid id itself may be undefined.
  const bad = ids.findIndex((id) => !Number.isInteger(id) || id < 0 || id >= vocab);
  if (bad >= 0) {
    const detail = `${String(ids[bad])} is not in 0 … ${vocab - 1}`;
    throw new ModelError({ kind: 'bad-tokens', detail });
  }
}

function plainTensor(name: string, { dims, data }: Ort.Tensor): Tensor {
  if (data instanceof Float32Array) return { name, dims, data };
  // Token ids fit 32 bits, and views need no bigint.
  if (data instanceof BigInt64Array) return { name, dims, data: Int32Array.from(data, Number) };
  throw new ModelError({ kind: 'run', detail: `${name} is neither float32 nor int64` });
}

function noModel(): ModelError {
  return new ModelError({ kind: 'session', detail: 'no model is open' });
}
