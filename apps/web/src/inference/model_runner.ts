// Owns one opened model: its session, its taps and closings, its cache. Loading is load_model.ts; the page's calls,
// model.worker.ts.
import type * as Ort from 'onnxruntime-web';
import { fileOf } from '../bundle/download/download';
import { directionName } from '../contract/attribution_table';
import { featuresName } from '../contract/validate_dictionaries';
import { sessionGraph } from '../contract/variant_graphs';
import { predictedPosition, scoreCount, shownLogits } from '../contract/whole_text';
import type { TextTokenizer } from '../tokenizer/text_tokenizer';
import type { Sweep, SweepRequest } from '../analysis/patching';
import {
  attributionFeeds,
  attributionFor,
  attributionNames,
  attributionShares,
  checkAttribution,
} from './attribution';
import { batchOf, textsOf } from './batch_run';
import { checkTokens } from './check_tokens';
import { loadFirstPass } from './load_first_pass';
import { firstSlots, noSlots, slotsFor, type ClosingSlots } from './closing_slots';
import { comparePass } from './compare_pass';
import { loadReferencePass } from './load_reference_pass';
import { failureError, GpuWatch } from './failure';
import { cacheNames, protocolOf, type Feeds } from './graph_protocols';
import { interventionKey, noInterventions, type Interventions } from './interventions';
import type { FedSpan, JointEdit } from './joint_edit';
import { checkInterventions, closingsNeeded, jointEdits } from './joint_edits';
import { cacheFeeds, KeyValueCache } from './key_value_cache';
import { findKeptVariants } from './kept_variants';
import { reachModel } from './reach_model';
import { loadModel, phase, startEarly, surveyModel, type LoadedModel } from './load_model';
import { ModelError } from './model_error';
import { dictionariesOf } from './dictionary_names';
import type { Following } from './download_file';
import { readFeatures, type FeatureReading, type FeaturesRequest } from './feature_reading';
import { HeldDictionaries } from './held_dictionaries';
import { measureLens, type LensMeasures, type LensRequest } from './lens_reading';
import { readUnits, type ReadUnits, type UnitsRequest } from './read_dashboards';
import { readNeurons, type NeuronReading, type NeuronsRequest } from './neuron_reading';
import {
  sweep,
  type BatchValues,
  type EngineBatch,
  type RunsBatches,
  type SweepProgress,
} from './patching_sweep';
import type { ReferencePass } from './read_reference_pass';
import type { DeviceProof } from './client_interface';
import type {
  BatchRequest,
  BatchResult,
  FirstPass,
  OpenedModel,
  OpenRequest,
  Progress,
  RunRequest,
  RunResult,
  CachedModels,
  Survey,
  TokenPiece,
} from './model_types';
import { textLimit, withoutEmptySlots } from './static_cache';
import { logitLens } from './lens_names';
import { loadDictionary, type LoadedDictionary } from './load_dictionary';
import { loadLens, throughLens, type LoadedLens } from './load_lens';
import { plainTensor } from './run_outputs';
import { makeSession, wantedGraph, type Session, type WantedSession } from './session_maker';
import { hasRoomForAnalysis } from './session_beside';
import { defaultActivations, savedGraph } from './taps';
import { alternativesOf, type Alternatives, type AlternativesRequest } from './token_alternatives';

/** The outputs and edits that a run or a sweep needs in a session. */
interface Needs {
  readonly interventions: Interventions;
  readonly attribution?: RunRequest['attribution'];
  readonly activations?: readonly string[] | undefined;
  readonly closings?: readonly Pick<JointEdit, 'joint' | 'layer' | 'closing'>[];
  /** True if the reader's own runs have no use for what it needs, as for a sweep. Attribution is always so. */
  readonly isAnalysis?: boolean;
}

/** The session for a run. */
interface Provided {
  readonly session: Session;
  /** Milliseconds that it took to make; null if it was there. */
  readonly sessionMs: number | null;
}

export class ModelRunner {
  readonly #early = startEarly();
  readonly #cache = new KeyValueCache();
  readonly #gpu = new GpuWatch();
  readonly #dictionaries = new HeldDictionaries();
  readonly #baseUrl: string;
  #request: OpenRequest = { url: '', provider: 'auto' };
  #model: LoadedModel | null = null;
  #session: Session | null = null;
  /** A session like the open one, with what sweeps and attribution need as well; null if there is none. */
  #analysis: Session | null = null;
  /** The open session, as the page knows it. */
  #described: OpenedModel | null = null;
  /** The closings that runs have needed so far: a saved graph has no others. */
  #editedSlots: ClosingSlots = noSlots;
  /** The session that could not be made again after a proof, or after a change that failed. The next call makes it: none
   * is open, or one that gives other numbers. */
  #owed: WantedSession | null = null;
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
      this.#dictionaries.clear();
      const first = firstSlots(sessionGraph(variant).activations.joints);
      const slots = slotsFor(first, closingsNeeded(request.interventions ?? noInterventions));
      const lens = await this.#lens(request.lens ?? logitLens).catch(() => null);
      const wanted = { names, more: [], slots, lens, dictionaries: [], attribution: null };
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

  /** Rejects, and leaves the open session as it is, where the lens's file can't be used. */
  setLens(name: string): Promise<OpenedModel> {
    return this.#inTurn(async () => {
      const lens = await this.#lens(name);
      return this.#reopenSession({ ...this.#wanted(), lens }, 'clear');
    });
  }

  #lens(name: string): Promise<LoadedLens | null> {
    const { manifest } = this.#opened();
    return loadLens(name, manifest, this.#request, this.#baseUrl, this.#early);
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

  async run(request: RunRequest): Promise<RunResult> {
    await this.#holdDictionaries(request.activations);
    return this.#inTurn(() => this.#run(request));
  }

  /** Replay the variant's reference pass on this device; null where the bundle has none. */
  async prove(): Promise<DeviceProof | null> {
    const model = this.#opened();
    const pass = await loadReferencePass(this.#request, model, this.#baseUrl, this.#early);
    const record = model.variant.reference_pass;
    if (pass === null || record === undefined) return null;
    const { reference, runtime } = record;
    const run = await this.#inTurn(() => this.#replay(pass));
    const got = new Map(run.tensors.map((tensor) => [tensor.name, tensor]));
    const dims = shownLogits(model.manifest.model.shape);
    const logits = { name: 'logits', dims, data: run.lastLogits };
    const comparison = comparePass(got.set('logits', logits), pass.values, record);
    return { ...comparison, reference, runtime };
  }

  /**
   * Run a pass's tokens in a session that gives every activation. Where the open one doesn't, it is made again behind
   * it, with its cache.
   */
  async #replay({ ids, values }: ReferencePass): Promise<RunResult> {
    const open = this.#openedSession();
    // On a lost device no session can be made: the open one stays, and tells the next run of the loss.
    if (this.#gpu.isLost) throw await this.#failure('run', new Error("the GPU's device was lost"));
    const before = this.#wanted();
    const every = values.map(({ name }) => name).filter((name) => name !== 'logits');
    const given = new Set(open.activations);
    const request = { ids, reuseCache: false, keepCache: false };
    if (open.lens === null && every.every((name) => given.has(name))) return this.#run(request);
    try {
      const nothing = { more: [], slots: noSlots, lens: null, dictionaries: [] };
      const wanted = { ...before, ...nothing, names: every };
      await this.#openSession(wanted, 'keep');
      return await this.#run(request);
    } finally {
      if (this.#session !== open) {
        this.#owed = before;
        await this.#openSession(before, 'keep');
      }
    }
  }

  /** Run several texts at once. */
  async runBatch(request: BatchRequest): Promise<BatchResult> {
    await this.#holdDictionaries(request.activations);
    return this.#inTurn(() => this.#runBatch(request));
  }

  /** Return what the model expected at every position, each of its runs in turn with other calls. */
  alternatives(request: AlternativesRequest): Promise<Alternatives> {
    const { shape } = this.#opened().manifest.model;
    return alternativesOf(request, shape, (batch) =>
      this.#inTurn(async () => (await this.#batch(batch, { isPart: true })).values),
    );
  }

  /** Make a sweep, each of its batches in turn with other calls. */
  async sweep(
    request: SweepRequest,
    onProgress: SweepProgress,
    signal: AbortSignal,
  ): Promise<Sweep> {
    await this.#checkJoints('patch');
    const { shape } = this.#opened().manifest.model;
    return sweep(request, shape, this.#analysisRuns(), onProgress, signal);
  }

  /** Measure what each layer predicts, through the open lens; each run in turn with other calls. */
  async measureLens(
    request: LensRequest,
    onProgress: SweepProgress,
    signal: AbortSignal,
  ): Promise<LensMeasures> {
    await this.#checkJoints('read layers through');
    const { shape } = this.#opened().manifest.model;
    const { lens } = this.#openedSession();
    return measureLens(request, { shape, lens }, this.#analysisRuns(), onProgress, signal);
  }

  /** Read the neurons of a text, each run in turn with other calls. */
  async readNeurons(
    request: NeuronsRequest,
    onProgress: SweepProgress,
    signal: AbortSignal,
  ): Promise<NeuronReading> {
    await this.#checkJoints('read neurons at');
    const { shape } = this.#opened().manifest.model;
    return readNeurons(request, shape, this.#analysisRuns(), onProgress, signal);
  }

  /** Download a dictionary. Does not wait for other calls, as it leaves the open model untouched. */
  async openDictionary(
    name: string,
    onProgress: SweepProgress,
    signal: AbortSignal,
  ): Promise<void> {
    await this.#dictionary(name, {
      signal,
      onProgress: ({ receivedBytes, totalBytes }) => {
        onProgress(receivedBytes, totalBytes);
      },
    });
  }

  /** Read the features of a text, each run in turn with other calls. */
  async readFeatures(
    request: FeaturesRequest,
    onProgress: SweepProgress,
    signal: AbortSignal,
  ): Promise<FeatureReading> {
    await this.#checkJoints('read features at');
    const { shape } = this.#opened().manifest.model;
    const dictionary = await this.#dictionary(request.dictionary, {
      signal,
      onProgress: () => undefined,
    });
    return readFeatures(request, { shape, dictionary }, this.#analysisRuns(), onProgress, signal);
  }

  /** Return a dictionary, downloaded where it isn't here. */
  #dictionary(name: string, following?: Following): Promise<LoadedDictionary> {
    const { manifest } = this.#opened();
    const place = { request: this.#request, baseUrl: this.#baseUrl, early: this.#early };
    return this.#dictionaries.hold(name, () => loadDictionary(name, manifest, place, following));
  }

  /** Download the dictionaries whose features a run is asked for. */
  async #holdDictionaries(activations: readonly string[] = []): Promise<void> {
    if (this.#model === null) return;
    const wanted = dictionariesOf(this.#model.manifest, activations);
    for (const { name } of wanted) await this.#dictionary(name);
  }

  /** Read dashboards. Does not wait for other calls, as it leaves the open model untouched. */
  readUnits(
    request: UnitsRequest,
    onProgress: SweepProgress,
    signal: AbortSignal,
  ): Promise<ReadUnits> {
    return readUnits(request, this.#baseUrl, this.#early, onProgress, signal);
  }

  /** Wait for earlier calls, and throw for a graph whose joints are closed. */
  async #checkJoints(what: string): Promise<void> {
    await this.#inTurn(() => {
      const document = sessionGraph(this.#opened().variant).activations;
      if (protocolOf(document).edits === 'joints') return Promise.resolve();
      throw new RangeError(
        `this variant has no joints to ${what}; got its ${document.graph} graph; expected an open one: export the model again`,
      );
    });
  }

  #analysisRuns(): RunsBatches {
    return (batch) =>
      this.#inTurn(async () => (await this.#batch(batch, { isAnalysis: true })).values);
  }

  #inTurn<Result>(job: () => Promise<Result>): Promise<Result> {
    const turn = this.#lastJob.then(async () => {
      if (this.#owed !== null) await this.#openSession(this.#owed);
      return job();
    });
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
      if (this.#session === null && before !== null) {
        this.#owed = { ...before, slots: before.inputs.slots };
        await this.#openSession(this.#owed).catch(() => undefined);
      }
      throw error;
    }
  }

  /** Return what the open session was made for. */
  #wanted(): WantedSession {
    const { names = [], more = [], lens = null, dictionaries = [] } = this.#session ?? {};
    const { attribution = null, inputs } = this.#session ?? {};
    return { names, more, lens, dictionaries, attribution, slots: inputs?.slots ?? noSlots };
  }

  /**
   * Return the session for a run, with the closings, activations and taps of attribution that it needs, if the text has
   * a place for the interventions. One that lacks them is replaced; for an analysis, it gets another one beside it
   * where memory allows, so that the reader's runs compute nothing of it.
   */
  async #provide(needs: Needs, text: FedSpan): Promise<Provided> {
    const { interventions, attribution: asked, activations = [], closings = [] } = needs;
    const isAnalysis = needs.isAnalysis === true || asked !== undefined;
    const own = this.#openedSession();
    const open = isAnalysis ? (this.#analysis ?? own) : own;
    const { names, inputs, lens, attribution: before } = open;
    const { more, dictionaries } = this.#dictionariesFor(open, activations);
    const slots = slotsFor(inputs.slots, [...closings, ...closingsNeeded(interventions)]);
    const attribution = asked === undefined ? before : attributionFor(before, asked);
    const given = new Set([...names, ...more]);
    const lacking = activations.filter((name) => !given.has(name));
    if (slots === inputs.slots && attribution === before && lacking.length === 0)
      return { session: open, sessionMs: null };
    // A refused edit must leave the session as it is.
    jointEdits(interventions, this.#opened().manifest.model.shape, text);
    const every = [...more, ...lacking];
    const wanted = { names, lens, dictionaries, slots, attribution, more: every };
    const beside = isAnalysis ? await this.#openAnalysis(wanted, text.end) : null;
    if (beside !== null) return beside;
    const { timings } = await this.#reopenSession(wanted, 'keep');
    return { session: this.#openedSession(), sessionMs: timings.sessionMs };
  }

  /**
   * Return the dictionaries of a session that gives these activations, and what it gives beside those of the page. One
   * whose features are not among them makes room for one whose features are.
   */
  #dictionariesFor(
    { more, dictionaries }: Pick<Session, 'more' | 'dictionaries'>,
    activations: readonly string[],
  ): Pick<Session, 'more' | 'dictionaries'> {
    const wanted = this.#dictionaries.among(this.#opened().manifest, activations);
    const open = new Set(dictionaries.map(({ record }) => record.path));
    if (wanted.every(({ record }) => open.has(record.path))) return { more, dictionaries };
    const left = new Set(dictionaries.map(({ record }) => featuresName(record.name)));
    return { more: more.filter((name) => !left.has(name)), dictionaries: wanted };
  }

  /** Make a session for analyses beside the open one; null if memory doesn't allow it. */
  async #openAnalysis(wanted: WantedSession, tokens: number): Promise<Provided | null> {
    await this.#releaseAnalysis();
    const names = [...wanted.names, ...wanted.more];
    if (this.#described === null || !hasRoomForAnalysis(this.#described, names, tokens))
      return null;
    const model = this.#opened();
    const graph = wantedGraph(model, wanted);
    const weights = await model.weights.open();
    const start = performance.now();
    try {
      const session = await makeSession(model, wanted, graph, weights);
      this.#analysis = session;
      return { session, sessionMs: performance.now() - start };
    } catch {
      // An error other than a lack of memory occurs again in the open session's place, and is reported there.
      return null;
    } finally {
      for (const file of weights) file.close();
    }
  }

  async #releaseAnalysis(): Promise<void> {
    const analysis = this.#analysis;
    this.#analysis = null;
    await this.#release(analysis);
  }

  async #release(session: Session | null): Promise<void> {
    if (session === null) return;
    await session.session.release();
    this.#opened().runtime.keptDevice?.count(session.weightBytes);
  }

  async #openSession(
    wanted: WantedSession,
    cache: 'keep' | 'clear' = 'clear',
  ): Promise<OpenedModel> {
    const model = this.#opened();
    const { manifest, variant, runtime } = model;
    // Taps first: an unknown name must leave the open session as it is.
    const graph = wantedGraph(model, wanted);
    if (cache === 'clear') this.#cache.clear();
    else if (runtime.provider === 'webgpu') await this.#keepCacheOfGpu(runtime.ort);
    // Before anything is released: where they can't be had, the open session stays.
    const weights = await model.weights.open();
    let made: Session;
    let start: number;
    try {
      // Before the new one is made, so that the weights are never in the runtime's memory twice.
      const previous = this.#session;
      this.#session = null;
      await this.#release(previous);
      await this.#releaseAnalysis();
      await runtime.keptDevice?.endIfFull();
      start = performance.now();
      made = await makeSession(model, wanted, graph, weights);
      await runtime.keptDevice?.keep();
      if (runtime.provider === 'webgpu') await this.#gpu.watch(runtime.ort);
    } catch (cause) {
      throw await this.#failure('session', cause);
    } finally {
      for (const file of weights) file.close();
    }
    const sessionMs = performance.now() - start;
    const expandMs = weights.reduce((sum, file) => sum + file.expandMs(), 0);
    this.#owed = null;
    this.#session = made;
    this.#described = {
      manifest,
      isBare: model.isBare,
      variant,
      facts: model.facts,
      device: model.opening.device,
      offer: model.opening.offer,
      activations: ['logits', ...graph.activations],
      lens: wanted.lens?.record.name ?? logitLens,
      hasTokenizer: model.tokenizer !== null,
      tokenizerTrouble: model.tokenizerTrouble,
      chat: model.tokenizer?.chat ?? null,
      ...model.arrival,
      timings: { ...model.timings, expandMs, sessionMs, firstRunMs: null },
    };
    return this.#described;
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
    const { goesOn = keepCache } = request;
    const { attribution: asked = null, activations: returned, upcoming = [] } = request;
    const { manifest, runtime, variant } = this.#opened();
    const { shape } = manifest.model;
    const { activations: document } = sessionGraph(variant);
    checkTokens(ids, shape.vocab, textLimit(document));
    checkInterventions(interventions, shape);
    if (asked !== null) checkAttribution(asked, variant, shape);
    const protocol = protocolOf(document);
    const text = { start: 0, end: ids.length, goesOn };
    const { session: provided, sessionMs } =
      protocol.edits === 'joints'
        ? await this.#provide(
            {
              interventions,
              attribution: asked ?? undefined,
              activations: returned,
              closings: closingsNeeded(upcoming),
              isAnalysis: returned !== undefined,
            },
            text,
          )
        : { session: this.#openedSession(), sessionMs: null };
    const { session, inputs, attribution, neutral, ...open } = provided;
    const activations = returned ?? open.activations;
    const key = interventionKey(interventions, ids.length);
    const hit = reuseCache ? this.#cache.find(ids, key) : null;
    const start = hit?.length ?? 0;
    const edits = jointEdits(interventions, shape, { ...text, start });
    this.#editedSlots = slotsFor(this.#editedSlots, closingsNeeded(interventions));
    const hasLabels = (shape.labels ?? 0) > 0;
    const last = ids.length - predictedPosition(manifest, ids);
    // Each token has labels, and they are few.
    const rows = hasLabels ? ids.length : last;
    const feeds = {
      ...neutral,
      ...protocol.text(runtime.ort, { ids, start, rows }, inputs),
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
    const width = scoreCount(shape);
    const predicted = shape.pooled === true ? 0 : logits.length - last * width;
    const ofTokens = hasLabels && shape.pooled !== true ? ['logits'] : [];
    return {
      ids,
      start,
      lastLogits: logits.slice(predicted, predicted + width),
      tensors: [...activations, ...ofTokens].map((name) => {
        const tensor = plainTensor(name, output(name));
        return protocol.cacheIsFixed ? withoutEmptySlots(tensor, ids.length) : tensor;
      }),
      ...(asked && {
        attribution: attributionShares((name) => output(name).data as Float32Array, shape, asked),
      }),
      ...(asked?.direction === true && { direction: output(directionName).data as Float32Array }),
      timings: { runMs, ...(sessionMs !== null && { sessionMs }) },
    };
  }

  async #runBatch(request: BatchRequest): Promise<BatchResult> {
    const batch = batchOf(request, request.activations ?? this.#openedSession().activations);
    const isAnalysis = request.activations !== undefined;
    const { values, runMs } = await this.#batch(batch, { isAnalysis });
    return { texts: textsOf(batch, values), timings: { runMs } };
  }

  /**
   * Run texts together, with an empty cache, and return what they gave together. `isPart`: edits may name positions
   * behind a text, which is part of a longer one.
   */
  async #batch(
    batch: EngineBatch,
    { isAnalysis = false, isPart = false },
  ): Promise<{ values: BatchValues; runMs: number }> {
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
    const text = { start: 0, end: Math.max(...lengths), lengths, goesOn: isPart };
    const placed = jointEdits(edits, shape, text);
    const { session, inputs, neutral } =
      protocol.edits === 'joints'
        ? (await this.#provide({ interventions: edits, ...batch, isAnalysis }, text)).session
        : this.#openedSession();
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

  /** Run the session, and return its wanted outputs by name. */
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

function noModel(): ModelError {
  return new ModelError({ kind: 'session', detail: 'no model is open' });
}
