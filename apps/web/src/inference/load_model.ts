// Loads a model's verified files and a running runtime, each fetched as early as possible. Sessions: model_runner.ts.
import { BundleError } from '../bundle/bundle_error';
import { readBareFiles } from '../bundle/onnx/bare_model';
import {
  fileOf,
  filesToOpen,
  weightsOf,
  type BundleFiles,
  type Download,
} from '../bundle/download/download';
import { sessionGraph } from '../contract/variant_graphs';
import { ModelCache } from '../bundle/storage/model_cache';
import { retryPolicy } from '../bundle/download/retry_policy';
import type { FileDescriptor, Manifest, Variant } from '../contract/generated';
import { checkCases, type TokenizerProblem } from '../tokenizer/check_cases';
import { TextTokenizer } from '../tokenizer/text_tokenizer';
import { makeOffer } from './choose_variant';
import { askDevice, isForOneThread } from './device';
import { downloadApart } from './download_apart';
import { reportDownload } from './download_reports';
import { failureError, type Opening } from './failure';
import { findBundle, type ArrivingBundles } from './find_bundle';
import { messageOf, ModelError } from './model_error';
import type {
  Choice,
  DeviceFacts,
  OpenedModel,
  OpenRequest,
  Progress,
  RuntimeFacts,
  Survey,
} from './model_types';
import { ModelWeights } from './model_weights';
import { chooseWithoutModel } from './provider';
import { loadRuntime, type Runtime } from './runtime';
import { withStaticCache } from './static_cache';

export interface LoadedModel {
  readonly manifest: Manifest;
  readonly isBare: boolean;
  readonly variant: Variant;
  /** All files but the weights. */
  readonly files: BundleFiles;
  readonly weights: ModelWeights;
  readonly runtime: Runtime;
  readonly facts: RuntimeFacts;
  /** Needed to find the next attempt where this one breaks down. */
  readonly opening: Opening;
  /** null where the bundle has none: the page then takes token ids. */
  readonly tokenizer: TextTokenizer | null;
  /** Why there is no tokenizer although the bundle has one. */
  readonly tokenizerTrouble: TokenizerProblem | null;
  readonly arrival: Pick<OpenedModel, 'isKept' | 'keptSince'>;
  readonly timings: Pick<OpenedModel['timings'], 'downloadMs' | 'downloadedBytes' | 'keptBytes'>;
}

/** Return the progress of a phase that has no bytes to report. */
export function phase(phase: Progress['phase']): Progress {
  return { phase, receivedBytes: 0, totalBytes: 0, keptBytes: 0, waiting: null };
}

/** Answers and files that are requested before any model is named. */
export interface EarlyStart {
  readonly device: Promise<DeviceFacts>;
  /** The runtime for wasm, where there is no GPU that could be chosen instead; else null. */
  readonly runtime: Promise<Runtime | null>;
  /** Called as the runtime's files arrive, where that takes long. */
  readonly onRuntimeLife: Set<() => void>;
  /** By address: a survey and an opening of the same model fetch its manifest once. */
  readonly bundles: ArrivingBundles;
  /** The browser's cache of models; null where it keeps none. */
  readonly modelCache: Promise<ModelCache | null>;
  /** By address: settles once the request for a precomputed example is under way; the weights wait for that. */
  readonly examples: Map<string, Promise<void>>;
}

export function startEarly(): EarlyStart {
  const device = askDevice();
  const onRuntimeLife = new Set<() => void>();
  const runtime = device.then(({ adapter }) =>
    adapter === null ? loadRuntime('wasm', tellAll(onRuntimeLife)) : null,
  );
  // A failure is reported to the one who opens a model; until then nobody listens.
  runtime.catch(() => undefined);
  return {
    ...{ device, runtime, onRuntimeLife },
    ...{ bundles: new Map(), modelCache: ModelCache.open(), examples: new Map() },
  };
}

function tellAll(listeners: ReadonlySet<() => void>): () => void {
  return () => {
    for (const listener of listeners) listener();
  };
}

/** Find the variants that the device can open. Rejects as `loadModel` does; a refusal is part of the offer. */
export async function surveyModel(
  request: OpenRequest,
  baseUrl: string,
  early: EarlyStart,
): Promise<Survey> {
  const { graphName, found } = findBundle(request, baseUrl, early);
  return makeSurvey(request, graphName, (await found).manifest, await early.device);
}

/** Load a model. Rejects with a BundleError or a ModelError. Relative addresses are resolved against `baseUrl`. */
export async function loadModel(
  request: OpenRequest,
  baseUrl: string,
  early: EarlyStart,
  onProgress: (progress: Progress) => void,
): Promise<LoadedModel> {
  onProgress(phase('manifest'));
  const stop = new AbortController();
  try {
    const { graphName, source, found, graphBytes } = findBundle(request, baseUrl, early);
    graphBytes.listen((receivedBytes) => {
      onProgress({ ...phase('download'), receivedBytes });
    });
    const choosing = Promise.all([found, early.device]).then(([bundle, device]) => {
      const { manifest } = bundle;
      const survey = makeSurvey(request, graphName, manifest, device);
      const { choice, refused } = survey.offer;
      if (choice === null) throw new ModelError(refused ?? { kind: 'aborted' });
      const variant = withStaticCache(
        variantNamed(manifest, choice.variant),
        request,
        choice.provider,
      );
      const opening = { ...choice, offer: survey.offer, device, tried: request.tried ?? [] };
      return { ...bundle, choice, opening, variant };
    });
    const runtimeArriving = startRuntime(request, early, choosing);
    const filesArriving = choosing.then(async ({ manifest, bare, latest, variant, opening }) => {
      const began = performance.now();
      const descriptors = filesToOpen(manifest, variant);
      // A model without an address or without digests is not cached.
      const modelCache = latest === null ? null : await early.modelCache;
      if (latest !== null) {
        const { url, text } = latest;
        modelCache?.remember(url, text, manifest, digestsOf(descriptors));
      }
      const graph = sessionGraph(variant).path;
      const order = {
        ...{ source, descriptors },
        // A bare graph may contain its weights.
        weights: new Set(variant.weights.filter((path) => path !== graph)),
      };
      const fetchAll = (
        onProgress: (progress: Progress) => void,
        cache = modelCache,
      ): Promise<Download> =>
        bare === null
          ? downloadApart({ ...order, modelCache: cache }, stop.signal, onProgress)
          : readBareFiles(
              source,
              bare,
              { retryPolicy, signal: stop.signal },
              reportDownload(onProgress),
            );
      await early.examples.get(request.url);
      const download = await fetchAll(onProgress).catch((error: unknown) => {
        throw withoutMemory(error, opening);
      });
      // Needed where no file was written: a write would have waited for the record.
      await modelCache?.recorded();
      const { files, keptBytes, isKept } = download;
      const weights = new ModelWeights(
        weightsOf(variant, download.weights),
        modelCache,
        async (isStored) => {
          const again = await fetchAll(() => undefined, isStored ? modelCache : null);
          return weightsOf(variant, again.weights);
        },
      );
      const downloadMs = performance.now() - began;
      // The last phase to wait for before the session is made.
      const wait = (): void => {
        onProgress(phase('runtime'));
      };
      wait();
      early.onRuntimeLife.add(wait);
      const bytes = descriptors.reduce((sum, { bytes }) => sum + bytes, 0);
      const timings = { downloadMs, keptBytes, downloadedBytes: bytes - keptBytes };
      return { files, weights, timings, arrival: { isKept, keptSince: latest?.keptSince ?? null } };
    });
    const [chosen, arrived, runtime] = await Promise.all([
      choosing,
      filesArriving,
      runtimeArriving,
    ]);
    const { manifest: ofBundle, bare, choice, opening, variant } = chosen;
    const { files } = arrived;
    return {
      ...{ manifest: ofBundle, isBare: bare !== null, variant, runtime, opening, ...arrived },
      facts: factsOf(choice, opening.device, runtime),
      ...openTokenizer(ofBundle, files),
    };
  } catch (error) {
    // After the first failure the other downloads are useless.
    stop.abort();
    throw error;
  }
}

/** Return the bytes of all pieces of the files, by digest. */
export function digestsOf(files: readonly FileDescriptor[]): Record<string, number> {
  const pieces = files.flatMap((file) => file.chunks ?? [file]);
  return Object.fromEntries(pieces.map(({ digest, bytes }) => [digest, bytes]));
}

export function makeSurvey(
  { variant, provider }: OpenRequest,
  graphName: string | null,
  manifest: Manifest,
  device: DeviceFacts,
): Survey {
  const options = { provider, graphName, ...(variant !== undefined && { variant }) };
  return { manifest, device, offer: makeOffer(manifest, device, options) };
}

export function variantNamed({ variants }: Manifest, name: string): Variant {
  const found = variants.find((variant) => variant.name === name);
  const known = variants.map((variant) => variant.name);
  if (found === undefined) throw new ModelError({ kind: 'unknown-variant', got: name, known });
  return found;
}

/** Start the runtime. Waits for the choice only where the provider depends on the model. */
async function startRuntime(
  request: OpenRequest,
  early: EarlyStart,
  choosing: Promise<{ readonly choice: Choice }>,
): Promise<Runtime> {
  const fixed = chooseWithoutModel(request.provider, await early.device);
  const { provider } = fixed ?? (await choosing).choice;
  const started = provider === 'wasm' ? await early.runtime : null;
  return started ?? (await loadRuntime(provider, tellAll(early.onRuntimeLife)));
}

/** Return a failure for want of memory where the browser could not allocate an array within its size limit; any other
 * error as it is. */
function withoutMemory(error: unknown, opening: Opening): unknown {
  const isOurs = error instanceof BundleError || error instanceof ModelError;
  if (!isOurs || error.data.kind !== 'too-large') return error;
  const { path, bytes, limit } = error.data;
  if (bytes > limit) return error;
  const cause = new Error(`out of memory: ${path} takes ${bytes} bytes`, { cause: error });
  return failureError('session', cause, opening);
}

function factsOf(choice: Choice, device: DeviceFacts, runtime: Runtime): RuntimeFacts {
  return {
    provider: choice.provider,
    reason: choice.providerReason,
    variantReason: choice.variantReason,
    threads: runtime.threads,
    threadsFailed: isForOneThread(),
    crossOriginIsolated: device.crossOriginIsolated,
    adapter: device.adapter,
    runtimeVersion: runtime.version,
  };
}

/** Open the tokenizer. One that would make other tokens than transformers is not used: all results would be those of
 * another text. */
function openTokenizer(
  manifest: Manifest,
  files: BundleFiles,
): Pick<LoadedModel, 'tokenizer' | 'tokenizerTrouble'> {
  if (manifest.tokenizer === undefined) return { tokenizer: null, tokenizerTrouble: null };
  const { tokenizer: path, config, cases } = manifest.tokenizer;
  try {
    const tokenizer = new TextTokenizer(fileOf(files, path), fileOf(files, config));
    const trouble = cases === undefined ? null : checkCases(tokenizer, fileOf(files, cases));
    return { tokenizer: trouble === null ? tokenizer : null, tokenizerTrouble: trouble };
  } catch (cause) {
    const detail = `${path}: ${messageOf(cause)}`;
    return { tokenizer: null, tokenizerTrouble: { kind: 'unsupported', detail } };
  }
}
