// Owns one opened model: its session, its taps and closings, its cache. Loading is load_model.ts; the page's calls, model.worker.ts.
import type * as Ort from 'onnxruntime-web';
import { fileOf } from '../bundle/download/download';
import { sessionGraph } from '../contract/variant_graphs';
import type { TextTokenizer } from '../tokenizer/text_tokenizer';
import type { Sweep, SweepRequest } from '../analysis/patching';
import {
  attributionFeeds,
  attributionFor,
  attributionNames,
  attributionShares,
  checkAttribution,
  type OpenAttribution,
} from './attribution';
import { rowsOf } from './batch_rows';
import { loadFirstPass } from './load_first_pass';
import { firstSlots, noSlots, slotsFor, type ClosingSlots } from './closing_slots';
import { comparePass } from './compare_pass';
import { loadReferencePass } from './load_reference_pass';
import { failureError, GpuWatch } from './failure';
import { nodesOf } from './graph_nodes';
import { cacheNames, protocolOf, type Feeds, type SessionInputs } from './graph_protocols';
import { interventionKey, noInterventions, type Interventions } from './interventions';
import type { FedSpan, JointEdit } from './joint_edit';
import { checkInterventions, closingsNeeded, jointEdits } from './joint_edits';
import { KeyValueCache, truncatePositions, type CacheHit } from './key_value_cache';
import { findKeptVariants } from './kept_variants';
import { reachModel } from './reach_model';
import { loadModel, phase, startEarly, surveyModel, type LoadedModel } from './load_model';
import { ModelError } from './model_error';
import { sweep, type BatchValues, type EngineBatch, type SweepProgress } from './patching_sweep';
import type { ReferencePass } from './read_reference_pass';
import type {
  BatchRequest,
  BatchResult,
  DeviceProof,
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
import { textLimit, withoutEmptySlots } from './static_cache';
import { logitLens } from './lens_names';
import { loadLens, throughLens, type LoadedLens } from './load_lens';
import { concatenated, defaultActivations, openTaps, savedGraph } from './taps';

interface Session {
  readonly session: Ort.InferenceSession;
  /** Names of the activations that the page requested. */
  readonly names: readonly string[];
  /** Names of further activations that sweeps insert; runs don't return them. */
  readonly more: readonly string[];
  /** Outputs that are neither logits nor cache. */
  readonly activations: readonly string[];
  readonly lens: LoadedLens | null;
  readonly inputs: SessionInputs;
  /** Attribution taps of the session; null if it has none. */
  readonly attribution: OpenAttribution | null;
  /** What every run is fed: an empty cache, and edits that change nothing. */
  readonly neutral: Readonly<Feeds>;
}

/** The outputs, closings, lens and attribution taps of a session to create. */
type WantedSession = Pick<Session, 'names' | 'more' | 'lens' | 'attribution'> & {
  readonly slots: ClosingSlots;
};

/** The closings, activations and taps that a run or a sweep needs in a session. */
interface Needs {
  readonly interventions: Interventions;
  readonly attribution?: RunRequest['attribution'];
  readonly activations?: readonly string[];
  readonly closings?: readonly Pick<JointEdit, 'joint' | 'layer' | 'closing'>[];
}

export class ModelRunner {
  readonly #early = startEarly();
  readonly #cache = new KeyValueCache();
  readonly #gpu = new GpuWatch();
  readonly #baseUrl: string;
  #request: OpenRequest = { url: '', provider: 'auto' };
  #model: LoadedModel | null = null;
  #session: Session | null = null;
  /** The closings that runs have needed so far; a saved graph has only these. */
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
      const wanted = { names, more: [], slots, lens: null, attribution: null };
      const opened = await this.#openSession(wanted);
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
      return this.#reopenSession({ ...this.#wanted(), names }, 'clear');
    });
  }

  /** Switch to another lens. Rejects, and keeps the open session, if the lens's file can't be used. */
  setLens(name: string): Promise<OpenedModel> {
    return this.#inTurn(async () => {
      const { manifest } = this.#opened();
      const lens = await loadLens(name, manifest, this.#request, this.#baseUrl, this.#early);
      return this.#reopenSession({ ...this.#wanted(), lens }, 'clear');
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
      const { names, lens } = this.#openedSession();
      const graph = fileOf(files, sessionGraph(variant).path);
      const seen = throughLens(variant, lens);
      return Promise.resolve(savedGraph(seen, graph, names, this.#editedSlots));
    });
  }

  run(request: RunRequest): Promise<RunResult> {
    return this.#inTurn(() => this.#run(request));
  }

  /** Replay the variant's reference pass on this device; null if the bundle has none. */
  async prove(): Promise<DeviceProof | null> {
    const model = this.#opened();
    const pass = await loadReferencePass(this.#request, model, this.#baseUrl, this.#early);
    const record = model.variant.reference_pass;
    if (pass === null || record === undefined) return null;
    const { reference, runtime } = record;
    const run = await this.#inTurn(() => this.#replay(pass));
    const got = new Map(run.tensors.map((tensor) => [tensor.name, tensor]));
    const logits = { name: 'logits', dims: [1, 1, run.lastLogits.length], data: run.lastLogits };
    const comparison = comparePass(got.set('logits', logits), pass.values, record);
    return { ...comparison, reference, runtime };
  }

  /**
   * Run a pass's tokens in a session that gives every activation, then create the open session again with its cache.
   */
  async #replay({ ids, values }: ReferencePass): Promise<RunResult> {
    const before = this.#wanted();
    const every = values.map(({ name }) => name).filter((name) => name !== 'logits');
    try {
      await this.#openSession(
        { ...before, names: every, more: [], slots: noSlots, lens: null },
        'keep',
      );
      return await this.#run({ ids, reuseCache: false, keepCache: false });
    } finally {
      await this.#openSession(before, 'keep');
    }
  }

  /** Run several texts at once. */
  runBatch(request: BatchRequest): Promise<BatchResult> {
    return this.#inTurn(() => this.#runBatch(request));
  }

  /** Run a sweep; other calls are served between its batches. */
  async sweep(
    request: SweepRequest,
    onProgress: SweepProgress,
    signal: AbortSignal,
  ): Promise<Sweep> {
    await this.#inTurn(() => {
      const document = sessionGraph(this.#opened().variant).activations;
      if (protocolOf(document).edits === 'joints') return Promise.resolve();
      throw new RangeError(
        `this variant has no joints to patch; got its ${document.graph} graph; expected an open one: export the model again`,
      );
    });
    const { shape } = this.#opened().manifest.model;
    const run = (batch: EngineBatch): Promise<BatchValues> =>
      this.#inTurn(async () => (await this.#batch(batch)).values);
    return sweep(request, shape, run, onProgress, signal);
  }

  #inTurn<Result>(job: () => Promise<Result>): Promise<Result> {
    const turn = this.#lastJob.then(job, job);
    this.#lastJob = turn.catch(() => undefined);
    return turn;
  }

  /** Open a session in the place of the open one, which is made again where that fails. */
  async #reopenSession(wanted: WantedSession, cache: 'keep' | 'clear'): Promise<OpenedModel> {
    const before = this.#session;
    try {
      return await this.#openSession(wanted, cache);
    } catch (error) {
      // The previous session had to be released first; it is made again, so that the page can go on with it.
      if (this.#session === null && before !== null)
        await this.#openSession({ ...before, slots: before.inputs.slots }).catch(() => undefined);
      throw error;
    }
  }

  /** Return the request that the open session was created for. */
  #wanted(): WantedSession {
    const { names = [], more = [], lens = null, attribution = null, inputs } = this.#session ?? {};
    return { names, more, lens, attribution, slots: inputs?.slots ?? noSlots };
  }

  /**
   * Add the closings, activations and attribution taps that a run or a sweep needs to the session, after checking that
   * the interventions fit the text. Return the milliseconds that creating the new session took; null if the open one
   * has everything.
   */
  async #provide(needs: Needs, text: FedSpan): Promise<number | null> {
    const { interventions, attribution: asked, activations = [], closings = [] } = needs;
    const { names, more, inputs, attribution: before } = this.#openedSession();
    const slots = slotsFor(inputs.slots, [...closings, ...closingsNeeded(interventions)]);
    const attribution = asked === undefined ? before : attributionFor(before, asked);
    const given = new Set([...names, ...more]);
    const lacking = activations.filter((name) => !given.has(name));
    if (slots === inputs.slots && attribution === before && lacking.length === 0) return null;
    // What is refused must leave the session as it is.
    jointEdits(interventions, this.#opened().manifest.model.shape, text);
    const wanted = { ...this.#wanted(), slots, attribution, more: [...more, ...lacking] };
    return (await this.#reopenSession(wanted, 'keep')).timings.sessionMs;
  }

  async #openSession(
    wanted: WantedSession,
    cache: 'keep' | 'clear' = 'clear',
  ): Promise<OpenedModel> {
    const { names, more, slots, lens, attribution } = wanted;
    const model = this.#opened();
    const { manifest, variant, runtime, files } = model;
    const { path, activations: document } = sessionGraph(variant);
    // Taps first: an unknown name must leave the open session as it is.
    const file = fileOf(files, path);
    const { activations } = openTaps(throughLens(variant, lens), file, names, slots);
    const every = [...names, ...more];
    const tapped = openTaps(throughLens(variant, lens), file, every, slots, attribution);
    const graph = concatenated(tapped.parts);
    if (cache === 'clear') this.#cache.clear();
    else if (runtime.provider === 'webgpu') await this.#keepCacheOfGpu(runtime.ort);
    // Open the weights before anything is released: if that fails, the open session stays.
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
        externalData: [
          ...weights.map(({ path, data }) => ({ path, data })),
          ...(lens === null ? [] : [{ path: lens.record.path, data: lens.bytes }]),
        ],
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
    const neutral = {
      ...protocolOf(document).neutral(runtime.ort, inputs),
      ...attributionFeeds(runtime.ort, null, attribution),
    };
    this.#session = { session, names, more, activations, lens, inputs, attribution, neutral };
    return {
      manifest,
      isBare: model.isBare,
      variant,
      facts: model.facts,
      device: model.opening.device,
      offer: model.opening.offer,
      activations: ['logits', ...activations],
      lens: lens?.record.name ?? logitLens,
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

  async #run(request: RunRequest): Promise<RunResult> {
    const { ids, reuseCache, keepCache = true, interventions = noInterventions } = request;
    const { attribution: asked = null } = request;
    const { manifest, runtime, variant } = this.#opened();
    const { shape } = manifest.model;
    const { activations: document } = sessionGraph(variant);
    checkTokens(ids, shape.vocab, textLimit(document));
    checkInterventions(interventions, shape);
    if (asked !== null) checkAttribution(asked, variant, shape);
    const protocol = protocolOf(document);
    const text = { start: 0, end: ids.length, goesOn: keepCache };
    const sessionMs =
      protocol.edits === 'joints'
        ? await this.#provide({ interventions, attribution: asked ?? undefined }, text)
        : null;
    const { session, activations, inputs, attribution, neutral } = this.#openedSession();
    const key = interventionKey(interventions, ids.length);
    const hit = reuseCache ? this.#cache.find(ids, key) : null;
    const start = hit?.length ?? 0;
    const edits = jointEdits(interventions, shape, { ...text, start });
    this.#editedSlots = slotsFor(this.#editedSlots, closingsNeeded(interventions));
    const feeds = {
      ...neutral,
      ...protocol.text(runtime.ort, { ids, start }, inputs),
      ...protocol.edited(runtime.ort, edits, inputs),
      ...(asked && attributionFeeds(runtime.ort, asked, attribution)),
      ...(hit && (await cacheFeeds(runtime.ort, hit, protocol.cacheIsFixed))),
    };
    const began = performance.now();
    const present = protocol.hasCache && keepCache ? cacheNames(document) : [];
    const wanted = [
      'logits',
      ...activations,
      ...present.map((pair) => pair.output),
      ...(asked === null ? [] : attributionNames(shape, asked)),
    ];
    const output = await this.#outputs(session, feeds, wanted);
    const runMs = performance.now() - began;
    const pairs = present.map((pair) => [pair.input, output(pair.output)] as const);
    if (present.length > 0) this.#cache.store([...ids], key, new Map(pairs));
    const logits = output('logits').data as Float32Array;
    return {
      ids,
      start,
      lastLogits: logits.slice(-shape.vocab),
      tensors: activations.map((name) => {
        const tensor = plainTensor(name, output(name));
        return protocol.cacheIsFixed ? withoutEmptySlots(tensor, ids.length) : tensor;
      }),
      ...(asked && {
        attribution: attributionShares((name) => output(name).data as Float32Array, shape, asked),
      }),
      timings: { runMs, ...(sessionMs !== null && { sessionMs }) },
    };
  }

  async #runBatch({
    texts,
    interventions = noInterventions,
    logits = 1,
  }: BatchRequest): Promise<BatchResult> {
    const shortest = Math.min(...texts.map(({ length }) => length));
    // An empty text is refused below, with its own message.
    if (
      texts.length > 0 &&
      shortest > 0 &&
      (!Number.isInteger(logits) || logits < 1 || logits > shortest)
    )
      throw new RangeError(
        `a batch gives logits of the last tokens; got ${logits}; expected 1 to ${shortest}, the shortest text's tokens`,
      );
    const { activations } = this.#openedSession();
    const batch = { texts, edits: interventions, logits, activations };
    const { values, runMs } = await this.#batch(batch);
    const lengths = texts.map(({ length }) => length);
    const parted = activations.map((name) => rowsOf(valueOf(values, name), lengths));
    const { dims, data } = valueOf(values, 'logits');
    const [, given = 0, vocab = 0] = dims;
    return {
      texts: texts.map((ids, row) => {
        const own = data.slice(((row + 1) * given - logits) * vocab, (row + 1) * given * vocab);
        return {
          ids,
          logits: { name: 'logits', dims: [logits, vocab], data: own },
          tensors: parted.flatMap((rows) => rows[row] ?? []),
        };
      }),
      timings: { runMs },
    };
  }

  /** Run texts together with an empty cache. Return the outputs of the whole batch. */
  async #batch(batch: EngineBatch): Promise<{ values: BatchValues; runMs: number }> {
    const { texts, edits, logits, activations } = batch;
    const { manifest, runtime, variant } = this.#opened();
    const { shape } = manifest.model;
    if (texts.length === 0) throw new ModelError({ kind: 'bad-tokens', detail: 'no texts' });
    for (const ids of texts) checkTokens(ids, shape.vocab, shape.context_length);
    const { activations: document } = sessionGraph(variant);
    const protocol = protocolOf(document);
    if (protocol.batch === null)
      throw new RangeError(
        `the ${document.graph} graph takes one text at a time; got ${texts.length}; expected an open or decoder graph: export the model again`,
      );
    const lengths = texts.map(({ length }) => length);
    const text = { start: 0, end: Math.max(...lengths), lengths };
    const placed = jointEdits(edits, shape, text);
    if (protocol.edits === 'joints') await this.#provide({ interventions: edits, ...batch }, text);
    const { session, inputs, neutral } = this.#openedSession();
    const feeds = {
      ...neutral,
      ...protocol.batch(runtime.ort, { texts, logits: Math.max(1, logits) }, inputs),
      ...protocol.edited(runtime.ort, placed, inputs),
    };
    const began = performance.now();
    const wanted = [...(logits > 0 ? ['logits'] : []), ...activations];
    const output = await this.#outputs(session, feeds, wanted);
    const runMs = performance.now() - began;
    const values = new Map(wanted.map((name) => [name, plainTensor(name, output(name))] as const));
    return { values, runMs };
  }

  /** Run the session, and return the requested outputs by name. */
  async #outputs(
    session: Ort.InferenceSession,
    feeds: Feeds,
    wanted: readonly string[],
  ): Promise<(name: string) => Ort.Tensor> {
    let outputs: Ort.InferenceSession.ReturnType;
    try {
      outputs = await this.#gpu.guard(() => session.run(feeds, [...new Set(wanted)]));
    } catch (cause) {
      throw await this.#failure('run', cause);
    }
    return (name) => {
      const tensor = outputs[name];
      if (tensor === undefined) throw new ModelError({ kind: 'run', detail: `no output ${name}` });
      return tensor;
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
 * the position. They are a few numbers for each token, so the CPU computes them. A graph with a table of angles has none
 * of these operators left, since the runtime folds them to constants when it loads the graph.
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

/**
 * Return cached keys and values, cut to the tokens that the new sequence shares with the old one; a fixed cache is fed
 * whole, since the mask hides the slots after them.
 */
async function cacheFeeds(
  ort: typeof Ort,
  { length, tensors }: CacheHit,
  isFixed: boolean,
): Promise<Record<string, Ort.Tensor>> {
  const feeds: Record<string, Ort.Tensor> = {};
  for (const [name, tensor] of tensors) {
    const [batch = 1, heads = 0, past = 0, width = 0] = tensor.dims;
    feeds[name] =
      past === length || isFixed
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

function valueOf(values: BatchValues, name: string): Tensor {
  const found = values.get(name);
  if (found === undefined) throw new ModelError({ kind: 'run', detail: `no output ${name}` });
  return found;
}

function noModel(): ModelError {
  return new ModelError({ kind: 'session', detail: 'no model is open' });
}
